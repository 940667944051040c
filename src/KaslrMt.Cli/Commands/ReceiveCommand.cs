using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms.Detached;
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

            var order = new IncomingRequest { Name = vm, Listen = address, Table = settings };
            TextWriter error = parsed.InvocationConfiguration.Error;
            using var signals = new OwnerSignals();
            await Supervisors.AdoptOrphansAsync(RuntimeDirectory.Open(), error).ConfigureAwait(false);
            int code = await Supervisors.StartAsync(order, error, signals.StopRequested).ConfigureAwait(false);
            await TellAsync(parsed, json, vm, code).ConfigureAwait(false);
            return code;
        });
        return command.WithExamples("kaslrmt receive web1 --listen 10.0.0.2:7000", "kaslrmt migrate web1 --to 10.0.0.2:7000   # on the host where it runs");
    }

    /// <summary>Tells that a VM runs here, for people its name alone.</summary>
    internal static async Task TellAsync(ParseResult parsed, Option<bool> json, string name, int code)
    {
        if (code is not (ExitCode.Success or ExitCode.CheckFailed))
        {
            return;
        }

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
    }
}
