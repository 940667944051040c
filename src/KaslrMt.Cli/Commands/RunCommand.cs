using System.CommandLine;
using System.Security.Cryptography;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Agents;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt run</c>: a VM in the foreground.</summary>
internal static class RunCommand
{
    /// <summary>The command's name.</summary>
    public const string Word = "run";

    private static readonly Option<string?> Name = new("--name") { Description = "The VM's name; default: a random one", HelpName = "NAME" };

    private static readonly Option<string?> Tenant = new("--tenant")
    {
        Description = "Whose VM it is. The tenant table gives its key; with --tenant-key-file or kaslr_mt= this is only a label",
        HelpName = "NAME",
    };

    private static readonly Option<string?> Store = StoreOption.Create();

    private static readonly Option<bool> Detach = new("--detach", "-d")
    {
        Description = "Start the VM, return once it runs, and let it outlive this command; its console is a socket then, or a file",
    };

    private static readonly Option<string> Accel = new("--accel")
    {
        Description = "auto (KVM where it can work, else TCG), kvm or tcg",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    private static readonly Option<string> Console = new("--console")
    {
        Description = "The guest's serial console: stdio, none, or a file",
        HelpName = "WHERE",
        DefaultValueFactory = _ => "stdio",
    };

    private static readonly Option<string> Fallback = new("--fallback")
    {
        Description = "When the kernel cannot be given a layout: fail, or stock (boot it with its own KASLR)",
        HelpName = "HOW",
        DefaultValueFactory = _ => "fail",
    };

    private static readonly Option<string> FreePages = FreePagesOption.Create();

    private static readonly Option<bool> NoVerify = new("--no-verify") { Description = "Do not compare the guest's memory with the layout after its start" };

    private static readonly Option<string> HypervisorProgram = new("--qemu")
    {
        Description = "QEMU's program",
        HelpName = "PROGRAM",
        DefaultValueFactory = _ => MachineDefinition.DefaultProgram,
    };

    /// <summary>Parts a call's words into the command's own and, for <c>run</c>, those behind <c>--</c>: QEMU's, which are not parsed.</summary>
    public static (string[] Own, string[] Hypervisor) Split(string[] args)
    {
        int end = args is [Word, ..] ? Array.IndexOf(args, "--") : -1;
        return end < 0 ? (args, []) : (args[..end], args[(end + 1)..]);
    }

    /// <summary>The command.</summary>
    /// <param name="qemuArguments">The words behind <c>--</c>.</param>
    public static Command Create(string[] qemuArguments)
    {
        var layout = new LayoutOptions(makesImage: true);
        Option<bool> noCache = CommonOptions.NoCache();
        Option<int> cpus = CommonOptions.Number(["--cpus", "--smp"], standard: 1, least: 1, most: 255);
        cpus.Description = "Virtual CPUs";
        cpus.HelpName = "N";
        Option<int> grace = CommonOptions.Number(["--grace"], standard: 3, least: 0, most: 86400);
        grace.Description = "Seconds the guest may take to power off when the command is told to end; 0 ends it at once";
        grace.HelpName = "SECONDS";
        var command = new Command(Word, "Run a VM: in the foreground, where it ends with this command, however that ends, or detached");
        layout.AddTo(command);
        foreach (Option option in (Option[])[Name, Tenant, Store, cpus, Accel, Console, FreePages, Fallback, NoVerify, noCache, HypervisorProgram, grace, Detach])
        {
            command.Options.Add(option);
        }

        command.SetAction(async (parsed, _) =>
        {
            TextWriter log = parsed.InvocationConfiguration.Error;
            VmDescription options = Read(parsed, layout, qemuArguments) with { Cpus = parsed.GetValue(cpus), UseCache = !parsed.GetValue(noCache) };
            using LayoutRequest request = layout.Read(parsed);

            FreePagesSetting.Check(request.Line, options.FreePages);
            options = WithTable(options, request, parsed);
            VmSpec spec = options.ToSpec(request);
            using var signals = new OwnerSignals();
            if (parsed.GetValue(Detach))
            {
                if (parsed.GetResult(grace) is { Implicit: false })
                {
                    throw new KaslrMtException(CoreErrors.Usage, "--grace and --detach exclude each other", "leave it out here, and give it to kaslrmt stop");
                }

                AnswerDone done = await StartDetachedAsync(spec, request, log, signals.StopRequested).ConfigureAwait(false);
                await parsed.InvocationConfiguration.Output.WriteLineAsync(options.Name).ConfigureAwait(false);
                return done.Verified == false ? ExitCode.CheckFailed : ExitCode.Success;
            }

            VmExit exit = await RunHereAsync(spec, request, TimeSpan.FromSeconds(parsed.GetValue(grace)), new LineLogger(log.WriteLine), signals.StopRequested).ConfigureAwait(false);
            return Explain(exit, options.Name, log, signals.StopRequested.IsCancellationRequested);
        });
        return command.WithExamples(
            "kaslrmt run --tenant acme --name web1 --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0'",
            "kaslrmt run --detach --tenant acme --name web2 --kernel vmlinuz --store etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/kaslrmt",
            "kaslrmt run --kernel vmlinuz -m 2G --smp 2 --tenant-key-file acme.key --append 'root=/dev/vda console=ttyS0' -- -drive file=disk.qcow2,if=virtio",
            "kaslrmt run --kernel vmlinuz --append 'console=ttyS0 kaslr_mt=KEY-110010'");
    }

    private static VmDescription Read(ParseResult parsed, LayoutOptions layout, string[] qemuArguments) => new()
    {
        Name = VmName.Check(parsed.GetValue(Name) ?? $"vm-{RandomNumberGenerator.GetHexString(6, lowercase: true)}"),
        Tenant = parsed.GetValue(Tenant) is string tenant ? CheckTenant(tenant) : null,
        Kernel = layout.Kernel(parsed),
        Accelerator = AcceleratorChoice.Decide(AcceleratorChoice.Parse(parsed.GetRequiredValue(Accel))),
        Console = parsed.GetValue(Detach) ? DetachedConsole(parsed) : parsed.GetRequiredValue(Console) switch
        {
            "stdio" => VmSpec.StandardConsole,
            "none" => VmSpec.NoConsole,
            string file => CheckConsole(file),
        },
        FreePages = FreePagesSetting.Parse(parsed.GetRequiredValue(FreePages)),
        UserArguments = UserArguments.Parse(qemuArguments),
        Program = parsed.GetRequiredValue(HypervisorProgram),
        FallBackToStock = parsed.GetRequiredValue(Fallback) switch
        {
            "fail" => false,
            "stock" => true,
            string other => throw new KaslrMtException(CoreErrors.Usage, $"--fallback '{other}' is unknown", "give fail or stock"),
        },
        Verify = !parsed.GetValue(NoVerify),
    };

    // A key that was given keeps its VM out of the table.
    private static VmDescription WithTable(VmDescription options, LayoutRequest request, ParseResult parsed)
    {
        if (request.Key is not null || options.Tenant is null)
        {
            return parsed.GetValue(Store) is null
                ? options
                : throw new KaslrMtException(
                    CoreErrors.Usage, "--store is given, and nothing is asked of the tenant table", "give --tenant NAME, and neither --tenant-key-file nor kaslr_mt=");
        }

        TableNames.Check(options.Tenant, "tenant");
        TableNames.Check(options.Name, "VM");
        return options with { Table = StoreOption.Read(parsed, Store) };
    }

    private static async Task<AnswerDone> StartDetachedAsync(VmSpec spec, LayoutRequest request, TextWriter log, CancellationToken cancellationToken)
    {
        using AgentClient agent = await AgentFinder.EnsureAsync(log.WriteLine, cancellationToken).ConfigureAwait(false);
        string? seed = request.Seed is { } given ? Convert.ToHexStringLower(given.Reveal()) : null;
        byte[]? key = request.Key?.Reveal().ToArray();
        try
        {
            return await agent.StartAsync(new StartRequest(spec, key, seed), log.WriteLine, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    private static async Task<VmExit> RunHereAsync(VmSpec spec, LayoutRequest request, TimeSpan grace, LineLogger log, CancellationToken cancellationToken)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        runtime.Sweep();
        await using var host = new VmHost(runtime, log);
        using VmFolder folder = runtime.Claim(spec.Name);
        if (spec.Table is null)
        {
            return await new VmOwner(host, spec, request, log) { StopGrace = grace }.RunAsync(folder, null, null, cancellationToken).ConfigureAwait(false);
        }

        await using VmRegistration registration = await VmRegistration
            .EnterAsync(host.Tables.Get(spec.Table), spec, request.Policy, outlivesOwner: false, log, cancellationToken).ConfigureAwait(false);
        request.Key = registration.TakeKey();
        RegistrationFile.Of(registration.Vm, spec.Table).WriteTo(folder);
        return await new VmOwner(host, spec, request, log) { Registration = registration, StopGrace = grace }.RunAsync(folder, null, null, cancellationToken).ConfigureAwait(false);
    }

    // A detached VM has no terminal: what was not chosen becomes a socket.
    private static string DetachedConsole(ParseResult parsed) => parsed.GetRequiredValue(Console) switch
    {
        "stdio" when parsed.GetResult(Console) is null or { Implicit: true } => VmSpec.SocketConsole,
        "stdio" => throw new KaslrMtException(CoreErrors.Usage, "--console stdio and --detach exclude each other", "leave --console out for a socket, or give none or a file"),
        "none" => VmSpec.NoConsole,
        string file => CheckConsole(file),
    };

    // It stands in one cell of a table.
    private static string CheckTenant(string tenant) => tenant.Length is > 0 and <= 64 && !tenant.Any(char.IsControl)
        ? tenant
        : throw new KaslrMtException(CoreErrors.Usage, "--tenant is no tenant's name", "give 1 to 64 characters, no control characters");

    // QEMU would say so too, but late and in its own words.
    private static string CheckConsole(string file)
    {
        string? fault = RegularFile.Fault(file);
        try
        {
            if (fault is not null and not ("it is a device" or "it is a pipe"))
            {
                throw new IOException(fault);
            }

            if (fault is null)
            {
                // A new one is its owner's alone: a guest that panics prints its kernel's base.
                new FileStream(file, new FileStreamOptions
                {
                    Mode = FileMode.OpenOrCreate,
                    Access = FileAccess.Write,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                }).Dispose();
            }

            return Path.GetFullPath(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                VmErrors.Console, $"console file {file} cannot be written: {FileProblem.Reason(error)}", "give stdio, none, or a file that can be written", error);
        }
    }

    /// <summary>Tells how the VM ended, where it failed.</summary>
    /// <returns>The exit code.</returns>
    internal static int Explain(VmExit exit, string name, TextWriter log, bool interrupted)
    {
        if (interrupted)
        {
            return ExitCode.Interrupted;
        }

        bool failed = VmEndText.IsFailure(exit);
        if (failed)
        {
            log.WriteLine($"kaslrmt: {HypervisorErrors.VmDied}: {name}: the VM ended ({VmEndText.Describe(exit)}); look at its console");
        }

        return failed ? ExitCode.HostFailed : ExitCode.Success;
    }
}
