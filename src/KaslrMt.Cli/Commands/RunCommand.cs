using System.CommandLine;
using System.Security.Cryptography;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt run</c>: a VM in the foreground.</summary>
internal static class RunCommand
{
    private static readonly Option<string?> Name = new("--name") { Description = "The VM's name; default: a random one", HelpName = "NAME" };

    private static readonly Option<string?> Tenant = new("--tenant") { Description = "Whose VM it is, as 'kaslrmt ps' shows it", HelpName = "NAME" };

    private static readonly Option<int> Cpus = new("--cpus", "--smp")
    {
        Description = "Virtual CPUs",
        HelpName = "N",
        DefaultValueFactory = _ => 1
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

    public static Command Create()
    {
        var layout = new LayoutOptions();
        Option<bool> noCache = CommonOptions.NoCache();
        var qemuArguments = new Argument<string[]>("QEMU ARGS") { Description = "Behind --: further QEMU arguments, passed on as they are" };
        var command = new Command("run", "Run a VM in the foreground: it ends with this command, however that ends") { qemuArguments };
        layout.AddTo(command);
        foreach (Option option in (Option[])[Name, Tenant, Cpus, Accel, Console, Fallback, NoVerify, noCache, Qemu])
        {
            command.Options.Add(option);
        }

        command.SetAction(async (parsed, _) =>
        {
            TextWriter log = parsed.InvocationConfiguration.Error;
            RunOptions options = Read(parsed, layout, parsed.GetValue(noCache), parsed.GetValue(qemuArguments) ?? []);
            using LayoutRequest request = layout.Read(parsed);
            using var signals = new OwnerSignals();
            await log.WriteLineAsync($"kaslrmt: {options.Name}: {request.Memory}, {request.Machine}, {options.Accelerator.Argument} ({options.Accelerator.Reason})").ConfigureAwait(false);
            VmExit exit = await new VmOwner(request, options, log).RunAsync(signals.StopRequested).ConfigureAwait(false);
            return Explain(exit, options.Name, log, signals.StopRequested.IsCancellationRequested);
        });
        return command.WithExamples(
            "kaslrmt run --tenant acme --name web1 --kernel vmlinuz --initrd initrd.img --tenant-key-file acme.key --append 'console=ttyS0'",
            "kaslrmt run --kernel vmlinuz -m 2G --smp 2 --tenant-key-file acme.key --append 'root=/dev/vda console=ttyS0' -- -drive file=disk.qcow2,if=virtio",
            "kaslrmt run --kernel vmlinuz --append 'console=ttyS0 kaslr_mt=KEY-110010'");
    }

    private static RunOptions Read(ParseResult parsed, LayoutOptions layout, bool noCache, string[] qemuArguments) => new()
    {
        Name = parsed.GetValue(Name) ?? $"vm-{RandomNumberGenerator.GetHexString(6, lowercase: true)}",
        Tenant = parsed.GetValue(Tenant),
        Kernel = layout.Kernel(parsed),
        Initrd = layout.Initrd(parsed),
        Cpus = parsed.GetValue(Cpus),
        Accelerator = AcceleratorChoice.Decide(AcceleratorChoice.Parse(parsed.GetRequiredValue(Accel))),
        Console = parsed.GetRequiredValue(Console) switch
        {
            "stdio" => SerialConsole.Standard,
            "none" => SerialConsole.None,
            string file => SerialConsole.ToFile(Path.GetFullPath(file)),
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
        UseCache = !noCache,
    };

    private static int Explain(VmExit exit, string name, TextWriter log, bool interrupted)
    {
        if (interrupted)
        {
            return ExitCode.Interrupted;
        }

        bool failed = exit.Reason is ShutdownReason.Unexplained or ShutdownReason.HostError or ShutdownReason.GuestPanic;
        if (failed)
        {
            string how = exit.Signal is int signal ? $"by signal {signal}" : exit.ExitCode is int code ? $"with exit code {code}" : "";
            log.WriteLine(
                $"kaslrmt: {HypervisorErrors.QemuDied}: {name}: the VM ended ({exit.Reason}) {how}{(exit.LastWords.Length > 0 ? $"; QEMU said: {exit.LastWords}" : "")}");
        }

        return failed ? ExitCode.HostFailed : ExitCode.Success;
    }
}
