using System.Diagnostics;
using KaslrMt.Tenants.Sqlite;

namespace KaslrMt.Tenants.Tests.Faults;

/// <summary>A file system of 6 MiB, thrice what the log takes, in a mount namespace of a process's own: any user may have one where the kernel lets them have a user namespace.</summary>
internal static class FullDisk
{
    private const string Script = "mount -t tmpfs -o size=6m,mode=0700 none \"$1\" && shift && exec \"$@\"";

    /// <summary>Runs <see cref="FillAsync"/> inside it.</summary>
    internal static Process Start(string mountPoint, string keys)
    {
        ProcessStartInfo start = new("unshare") { RedirectStandardOutput = true, RedirectStandardError = true };
        string[] arguments =
        [
            "--user", "--map-root-user", "--mount", "sh", "-c", Script, "sh", mountPoint,
            "dotnet", typeof(FullDisk).Assembly.Location, "fill", Path.Combine(mountPoint, "tenants.db"), keys,
        ];
        Array.ForEach(arguments, start.ArgumentList.Add);
        return Process.Start(start)!;
    }

    /// <summary>
    /// Starts VMs until the file system is full, with other files in the way first so that it is SQLite that meets the end; frees space, and goes on.
    /// Says each error, and what was found afterwards.
    /// </summary>
    internal static async Task<int> FillAsync(string database, string keys)
    {
        string ballast = Path.Combine(Path.GetDirectoryName(database)!, "ballast");
        File.WriteAllBytes(ballast, new byte[1536 << 10]);
        await using var store = SqliteTenantStore.Open(database, new KeyRingFile(keys, MayCreate: true));
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        string key = await store.StartAsync("acme", "first");
        int started = 1;
        try
        {
            for (; started < 100_000; started++)
            {
                await store.StartAsync("acme", $"v{started}");
            }
        }
        catch (KaslrMtException error)
        {
            Console.WriteLine($"{error.Code} {error.Message}");
        }

        Console.WriteLine($"started {started} kept {(await store.VmsAsync().AllAsync()).Count}");
        File.Delete(ballast);
        bool same = await store.StartAsync("acme", "after") == key;
        foreach (VmRecord vm in await store.VmsAsync().AllAsync())
        {
            await store.DoAsync(new StopVm(vm.Name, vm.Incarnation));
        }

        IReadOnlyList<string> faults = [.. await store.CheckAsync(), .. await HistoryCheck.RunAsync(store)];
        bool purged = !(await store.FindTenantAsync("acme"))!.HasKey;
        Console.WriteLine($"same key {same} purged {purged} faults {faults.Count}");
        return 0;
    }
}
