using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
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
            TableSettings? table = saved.Registration is null ? null : Table(saved, StoreOption.Read(parsed, store), parsed.GetValue(store) is not null);
            using AgentClient agent = await AgentFinder.EnsureAsync(error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            AnswerDone done = await agent.RestoreAsync(vm, new RestoreRequest(file, table), error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            return await ReceiveCommand.TellAsync(parsed, json, vm, done).ConfigureAwait(false);
        });
        return command.WithExamples("kaslrmt restore web1", "kaslrmt restore web1 --input /srv/shared/web1.saved");
    }

    // This host's own keys and rights, and the VM's own store.
    private static TableSettings Table(MigrationHeader saved, TableSettings ours, bool given) =>
        given || saved.Spec.Table is null ? ours : ours with { Store = saved.Spec.Table.Store };
}
