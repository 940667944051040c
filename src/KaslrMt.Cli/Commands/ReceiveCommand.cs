using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Etcd;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt receive</c>: awaits a VM from another host.</summary>
internal static class ReceiveCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "The VM's name, as 'kaslrmt ps --all' lists it" };
        var listen = new Option<string>("--listen") { Description = "Where to await it: HOST:PORT with an address of this host, or unix:PATH", HelpName = "WHERE", Required = true };
        listen.NotEmpty();
        Option<string?> store = StoreOption.Create();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("receive", "Await a VM from another host of the same tenant table, and run it here, detached; returns once it runs, Ctrl-C gives up") { name, listen, store, json };
        command.SetAction(async (parsed, _) =>
        {
            string vm = VmName.Check(parsed.GetRequiredValue(name));
            string address = LinkAddress.Parse(parsed.GetRequiredValue(listen), "--listen").ToString();
            TableSettings settings = StoreOption.Read(parsed, store);
            if (settings.Store is not { } location || !EtcdLocation.IsOne(location))
            {
                throw new KaslrMtException(VmErrors.CannotMove, "this host's tenant table is not one of several hosts", "give --store etcd://… (or the configuration file's store), as the VM's host has it");
            }

            TextWriter error = parsed.InvocationConfiguration.Error;
            using var signals = new OwnerSignals();
            using AgentClient agent = await AgentFinder.EnsureAsync(error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            await error.WriteLineAsync($"kaslrmt: {vm}: on its host now: kaslrmt migrate {vm} --to {address}").ConfigureAwait(false);
            AnswerDone done = await agent.ReceiveAsync(vm, new ReceiveRequest(address, settings), error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            return await TellAsync(parsed, json, vm, done).ConfigureAwait(false);
        });
        return command.WithExamples("kaslrmt receive web1 --listen 10.0.0.2:7000", "kaslrmt migrate web1 --to 10.0.0.2:7000   # on the host where it runs");
    }

    /// <summary>Tells that a VM runs here, for people its name alone.</summary>
    /// <returns>The exit code.</returns>
    internal static async Task<int> TellAsync(ParseResult parsed, Option<bool> json, string name, AnswerDone done)
    {
        TextWriter output = parsed.InvocationConfiguration.Output;
        RunningVm? vm = RuntimeDirectory.Open().List().FirstOrDefault(running => running.Name == name);
        if (parsed.GetValue(json) && vm is not null)
        {
            Report.Json(output, VmReport.Of(vm), ReportJson.Default.VmReport);
        }
        else
        {
            await output.WriteLineAsync(name).ConfigureAwait(false);
        }

        return done.Verified == false ? ExitCode.CheckFailed : ExitCode.Success;
    }
}
