using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt restore</c>: starts a saved VM from its file.</summary>
internal static class RestoreCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "The VM's name, as 'kaslrmt ps --all' lists it" };
        var input = new Option<string?>("--input", "-i")
        {
            Description = "The file that 'kaslrmt save' wrote. It is removed once the VM runs. Default: saved/NAME in the state directory",
            HelpName = "FILE",
        };
        input.NotEmpty();
        Option<string?> store = StoreOption.Create();
        store.Description = "The VM's tenant table; default: the one it was started with";
        Option<bool> json = CommonOptions.Json();
        var command = new Command("restore", "Start a saved VM, detached, from its file: with its memory, and so with its layout") { name, input, store, json };
        command.SetAction(async (parsed, _) =>
        {
            string vm = VmName.Check(parsed.GetRequiredValue(name));
            string file = Path.GetFullPath(parsed.GetValue(input) ?? MigrationHeader.DefaultFile(StateDirectory.Find(), vm));
            (MigrationHeader saved, long _) = MigrationHeader.ReadFrom(file);
            TextWriter error = parsed.InvocationConfiguration.Error;
            using var signals = new OwnerSignals();
            await Supervisors.AdoptOrphansAsync(RuntimeDirectory.Open(), error).ConfigureAwait(false);
            var order = new IncomingRequest { Name = vm, File = file, Table = Table(saved, StoreOption.Read(parsed, store), parsed.GetValue(store) is not null) };
            int code = await Supervisors.StartAsync(order, error, signals.StopRequested).ConfigureAwait(false);
            await ReceiveCommand.TellAsync(parsed, json, vm, code).ConfigureAwait(false);
            return code;
        });
        return command.WithExamples("kaslrmt restore web1", "kaslrmt restore web1 --input /srv/shared/web1.saved");
    }

    // This host's own keys and rights, and the VM's own store.
    private static TableSettings Table(MigrationHeader saved, TableSettings ours, bool given) =>
        given || saved.Plan.Table is null ? ours : ours with { Store = saved.Plan.Table.Store };
}
