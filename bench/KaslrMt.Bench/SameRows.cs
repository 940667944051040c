using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Bench;

/// <summary>What a start and a stop write, as bare SQL without reading, rules or seals: tells SQLite's share of a change from ours.</summary>
internal sealed class SameRows : IDisposable
{
    private readonly SqliteConnection _connection;
    private readonly SqliteStatement[] _start;
    private readonly SqliteStatement[] _stop;

    public SameRows(string path)
    {
        _connection = new SqliteConnection($"Data Source={path};Pooling=False");
        _connection.Open();
        SqliteSchema.Execute(_connection.Handle!, "PRAGMA page_size = 2048; PRAGMA secure_delete = ON; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000");
        SqliteSchema.Ensure(_connection.Handle!, path);
        SqliteSchema.Execute(_connection.Handle!, "INSERT INTO record (tenant, name, generation, vms, rotation, created) VALUES ('acme', '', 1, 1, 0, 0)");
        const string audit =
            """
            INSERT INTO audit (at, uid, user, process, actor_host, action, tenant, vm, host, generation, key, key_id, detail)
            VALUES (1795300000000, 0, 'root', 12345, 'h-bench', 'start', 'acme', 'v', 'h-bench', 1, 0, '0123456789abcdef', NULL)
            """;
        _start = Prepare(
            "BEGIN IMMEDIATE",
            "UPDATE record SET vms = 2 WHERE tenant = 'acme' AND name = ''",
            """
            INSERT INTO record (tenant, name, host, generation, policy, status, incarnation, processes, created, since)
              VALUES ('acme', 'v', 'h-bench', 1, '110010', 1, randomblob(16), '1234,567890,3653fa16-5008-4b95-b391-aeb953b6f22e,pid:[4026531836]', 1795300000000, 1795300000000)
            """,
            "INSERT INTO record (tenant, name, owner) VALUES ('~', 'v', 'acme')",
            audit,
            "COMMIT");
        _stop = Prepare(
            "BEGIN IMMEDIATE",
            "UPDATE record SET vms = 1 WHERE tenant = 'acme' AND name = ''",
            "DELETE FROM record WHERE tenant = 'acme' AND name = 'v'",
            "DELETE FROM record WHERE tenant = '~' AND name = 'v'",
            audit,
            "COMMIT");
    }

    /// <summary>Two durable commits.</summary>
    public void Pair()
    {
        Array.ForEach(_start, statement => statement.Run());
        Array.ForEach(_stop, statement => statement.Run());
    }

    public void Dispose()
    {
        Array.ForEach([.. _start, .. _stop], statement => statement.Dispose());
        _connection.Dispose();
    }

    private SqliteStatement[] Prepare(params string[] texts) => [.. texts.Select(text => new SqliteStatement(_connection.Handle!, text, 0))];
}
