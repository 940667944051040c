// Boots a tenant's VM, verifies that the VM's memory holds the layout it was given, and stops the VM.
// Usage: orchestrator TENANT KERNEL INITRD [COMMAND-LINE]
// Exit code: 0 verified, 1 not the layout that was given, 2 wrong usage, 4 the VM could not be run.
using KaslrMt;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

if (args.Length is not (3 or 4))
{
    Console.Error.WriteLine("usage: orchestrator TENANT KERNEL INITRD [COMMAND-LINE]");
    return 2;
}

try
{
    // SIGINT and SIGTERM stop the VM. Whatever ends this process ends the VM, too.
    using var signals = new OwnerSignals();

    // One host for all VMs of this process: one runtime directory, one connection to each tenant table.
    await using VmHost host = VmHost.Open();

    // The table gives the tenant's key: a new one for the first VM that runs, the same one for all further VMs of this tenant.
    VmSpec spec = VmSpec.Create($"sample-{Environment.ProcessId}", kernel: args[1], initrd: args[2]) with
    {
        Tenant = args[0],
        Table = new TableSettings(),
        CommandLine = args.ElementAtOrDefault(3) ?? "console=ttyS0",
    };

    await using LocalVm vm = await host.StartAsync(spec, cancellationToken: signals.StopRequested);
    LayoutVerification found = await vm.VerifyAsync(signals.StopRequested);
    foreach (VerifiedRegion region in found.Regions)
    {
        // The bases are secrets of the VM: this program says whether they hold, not what they are.
        string verdict = region.Observed is null ? "not drawn yet" : region.Observed == region.Intended ? "ok" : "DIFFERS";
        Console.WriteLine($"{region.Region,-16}{region.Scope,-12}{verdict}");
    }

    VmExit exit = await vm.StopAsync(grace: TimeSpan.FromSeconds(5));
    Console.WriteLine($"{vm.Name}: {(found.Matches ? "verified" : "NOT the layout it was given")}; stopped ({exit.Reason})");
    return found.Matches ? 0 : 1;
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("orchestrator: stopped");
    return 4;
}
catch (KaslrMtException error)
{
    Console.Error.WriteLine($"orchestrator: {error.Code}: {error.Message}");
    return 4;
}
