using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Sqlite;

namespace KaslrMt.Tenants.Tests.Faults;

/// <summary>A process that uses a store: one that is killed at a step of a change, or one of many that start and stop VMs.</summary>
internal static class Worker
{
    // Processes that start on a loaded machine, and meet there.
    private static readonly EtcdAccess Patient = new() { RequestTimeout = TimeSpan.FromSeconds(20), Patience = TimeSpan.FromSeconds(90) };

    internal static Process Start(params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(Worker).Assembly.Location);
        Array.ForEach(arguments, start.ArgumentList.Add);
        return Process.Start(start)!;
    }

    internal static async Task<int> RunAsync(string[] arguments) => arguments switch
    {
        ["crash", string location, string keys, string change, string step] => await CrashAsync(location, keys, change, step),
        ["churn", string location, string keys, string name, string pairs, string tenants] => await ChurnAsync(
            location, keys, name, int.Parse(pairs, CultureInfo.InvariantCulture), int.Parse(tenants, CultureInfo.InvariantCulture)),
        ["crowd", string location, string keys, string name, string vms] => await CrowdAsync(
            location, keys, name, int.Parse(vms, CultureInfo.InvariantCulture)),
        ["fill", string database, string keys] => await FullDisk.FillAsync(database, keys),
        _ => 64,
    };

    internal static async Task<ITenantStore> OpenAsync(string location, KeyRingFile keys, StoreHooks hooks) => EtcdLocation.IsOne(location)
        ? await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(location), Patient, keys, hooks)
        : SqliteTenantStore.Open(location["sqlite:".Length..], keys, hooks);

    private static async Task<int> CrashAsync(string location, string keys, string change, string step)
    {
        bool armed = false;
        StoreHooks hooks = new()
        {
            Step = reached =>
            {
                if (armed && reached == step)
                {
                    Process.GetCurrentProcess().Kill();
                    Thread.Sleep(Timeout.Infinite);
                }
            },
        };
        await using ITenantStore store = await OpenAsync(location, new KeyRingFile(keys, MayCreate: true), hooks);
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        armed = change == "start";
        await store.StartAsync("acme", "victim");
        armed = change == "stop";
        await store.DoAsync(new StopVm("victim"));
        return 0;
    }

    /// <summary>Starts and stops VMs, and says of each start: tenant, generation, and a digest of the key it got.</summary>
    private static async Task<int> ChurnAsync(string location, string keys, string name, int pairs, int tenants)
    {
        await using ITenantStore store = await OpenAsync(location, new KeyRingFile(keys, MayCreate: true), StoreHooks.None);
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        for (int i = 0; i < pairs; i++)
        {
            StartVm start = Table.Start($"t{i % tenants}", $"{name}-{i}");
            await StartAsync(store, start);
            using Outcome stopped = await store.DoAsync(new StopVm(start.Name, start.Incarnation));
        }

        return 0;
    }

    /// <summary>Starts all its VMs at once when told to, and stops them at once when told again; each VM has a connection of its own.</summary>
    private static async Task<int> CrowdAsync(string location, string keys, string name, int vms)
    {
        var stores = new ITenantStore[vms];
        StartVm[] starts = [.. Enumerable.Range(0, vms).Select(i => Table.Start("acme", $"{name}-{i}"))];
        for (int i = 0; i < vms; i++)
        {
            stores[i] = await OpenAsync(location, new KeyRingFile(keys, MayCreate: true), StoreHooks.None);
        }

        await stores[0].RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        ThreadPool.SetMinThreads(2 * vms, vms);
        await AtOnceAsync("ready", vms, i => StartAsync(stores[i], starts[i]));
        await AtOnceAsync("started", vms, async i => (await stores[i].DoAsync(new StopVm(starts[i].Name, starts[i].Incarnation))).Dispose());
        await Task.WhenAll(stores.Select(store => store.DisposeAsync().AsTask()));
        return 0;
    }

    private static async Task AtOnceAsync(string said, int count, Func<int, Task> work)
    {
        Console.WriteLine(said);
        Console.ReadLine();
        await Task.WhenAll(Enumerable.Range(0, count).Select(i => Task.Run(() => work(i))));
    }

    private static async Task StartAsync(ITenantStore store, StartVm start)
    {
        using Outcome outcome = await store.DoAsync(start);
        string digest = Convert.ToHexStringLower(SHA256.HashData(outcome.TenantKey!.Reveal()));
        Console.WriteLine($"{start.Tenant} {outcome.Vm!.Generation} {digest}");
    }
}
