using System.CommandLine;
using System.Security.Cryptography;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt run</c>: a VM in the foreground.</summary>
internal static class RunCommand
{
    /// <summary>The command's name.</summary>
    public const string Word = "run";

    private static readonly Option<string?> Name = new("--name") { Description = "The VM's name; default: a random one", HelpName = "NAME" };

    private static readonly Option<string?> Tenant = new("--tenant") { Description = "Whose VM it is, as 'kaslrmt ps' shows it", HelpName = "NAME" };


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

    private static readonly Option<bool> NoVerify = new("--no-verify") { Description = "Do not compare the guest's memory with the layout after its start" };

    private static readonly Option<string> Qemu = new("--qemu")
    {
        Description = "QEMU's program",
        HelpName = "PROGRAM",
        DefaultValueFactory = _ => "qemu-system-x86_64",
    };

    /// <summary>Parts a call's words into the command's own and, for <c>run</c>, those behind <c>--</c>: QEMU's, which are not parsed.</summary>
    public static (string[] Own, string[] Qemu) Split(string[] args)
    {
        int end = args is [Word, ..] ? Array.IndexOf(args, "--") : -1;
        return end < 0 ? (args, []) : (args[..end], args[(end + 1)..]);
    }

    /// <summary>The command.</summary>
    /// <param name="qemuArguments">The words behind <c>--</c>.</param>
    public static Command Create(string[] qemuArguments)
    {
        var layout = new LayoutOptions();
        Option<bool> noCache = CommonOptions.NoCache();
        Option<int> cpus = CommonOptions.Number(["--cpus", "--smp"], standard: 1, least: 1, most: 255);
        cpus.Description = "Virtual CPUs";
        cpus.HelpName = "N";
        var command = new Command(Word, "Run a VM: in the foreground, where it ends with this command, however that ends, or detached");
        layout.AddTo(command);
        foreach (Option option in (Option[])[Name, Tenant, cpus, Accel, Console, Fallback, NoVerify, noCache, Qemu, Detach])
        {
            command.Options.Add(option);
        }

        command.SetAction(async (parsed, _) =>
        {
            TextWriter log = parsed.InvocationConfiguration.Error;
            RunOptions options = Read(parsed, layout, qemuArguments) with { Cpus = parsed.GetValue(cpus), UseCache = !parsed.GetValue(noCache) };
            using LayoutRequest request = layout.Read(parsed);
            using var signals = new OwnerSignals();
            await Supervisors.AdoptOrphansAsync(RuntimeDirectory.Open(), log).ConfigureAwait(false);
            if (parsed.GetValue(Detach))
            {
                int code = await Supervisors.StartAsync(DetachedPlan.Of(options, request, DetachedConsole(parsed)), request, log, signals.StopRequested).ConfigureAwait(false);
                if (code is ExitCode.Success or ExitCode.CheckFailed)
                {
                    await parsed.InvocationConfiguration.Output.WriteLineAsync(options.Name).ConfigureAwait(false);
                }

                return code;
            }

            VmExit exit = await new VmOwner(request, options, log).RunAsync(signals.StopRequested).ConfigureAwait(false);
            return Explain(exit, options.Name, log, signals.StopRequested.IsCancellationRequested);
        });
        return command.WithExamples(
            "kaslrmt run --tenant acme --name web1 --kernel vmlinuz --initrd initrd.img --tenant-key-file acme.key --append 'console=ttyS0'",
            "kaslrmt run --kernel vmlinuz -m 2G --smp 2 --tenant-key-file acme.key --append 'root=/dev/vda console=ttyS0' -- -drive file=disk.qcow2,if=virtio",
            "kaslrmt run --kernel vmlinuz --append 'console=ttyS0 kaslr_mt=KEY-110010'");
    }

    private static RunOptions Read(ParseResult parsed, LayoutOptions layout, string[] qemuArguments) => new()
    {
        Name = VmName.Check(parsed.GetValue(Name) ?? $"vm-{RandomNumberGenerator.GetHexString(6, lowercase: true)}"),
        Tenant = parsed.GetValue(Tenant) is string tenant ? CheckTenant(tenant) : null,
        Kernel = layout.Kernel(parsed),
        Initrd = layout.Initrd(parsed),
        Accelerator = AcceleratorChoice.Decide(AcceleratorChoice.Parse(parsed.GetRequiredValue(Accel))),
        Console = parsed.GetRequiredValue(Console) switch
        {
            "stdio" => SerialConsole.Standard,
            "none" => SerialConsole.None,
            string file => SerialConsole.ToFile(CheckConsole(file)),
        },
        UserArguments = UserArguments.Parse(qemuArguments),
        QemuProgram = parsed.GetRequiredValue(Qemu),
        FallBackToStock = parsed.GetRequiredValue(Fallback) switch
        {
            "fail" => false,
            "stock" => true,
            string other => throw new KaslrMtException(CommandErrors.Usage, $"--fallback '{other}' is unknown", "give fail or stock"),
        },
        Verify = !parsed.GetValue(NoVerify),
    };

    // A detached VM has no terminal: what was not chosen becomes a socket.
    private static string DetachedConsole(ParseResult parsed) => parsed.GetRequiredValue(Console) switch
    {
        "stdio" when parsed.GetResult(Console) is null or { Implicit: true } => DetachedPlan.SocketConsole,
        "stdio" => throw new KaslrMtException(CommandErrors.Usage, "--console stdio and --detach exclude each other", "leave --console out for a socket, or give none or a file"),
        "none" => DetachedPlan.NoConsole,
        string file => Path.GetFullPath(file),
    };

    // It stands in one cell of a table.
    private static string CheckTenant(string tenant) => tenant.Length is > 0 and <= 64 && !tenant.Any(char.IsControl)
        ? tenant
        : throw new KaslrMtException(CommandErrors.Usage, "--tenant is no tenant's name", "give 1 to 64 characters, no control characters");

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
                CommandErrors.Console, $"console file {file} cannot be written: {FileProblem.Reason(error)}", "give stdio, none, or a file that can be written", error);
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

        bool failed = exit.Reason is ShutdownReason.Unexplained or ShutdownReason.HostError or ShutdownReason.GuestPanic;
        if (failed)
        {
            string how = exit.Signal is int signal ? $" by signal {signal}" : exit.ExitCode is int code ? $" with exit code {code}" : "";
            string words = exit.LastWords.Length > 0 ? $"; QEMU said: {exit.LastWords}" : "";
            log.WriteLine($"kaslrmt: {HypervisorErrors.QemuDied}: {name}: the VM ended ({exit.Reason}){how}{words}; look at its console");
        }

        return failed ? ExitCode.HostFailed : ExitCode.Success;
    }
}
