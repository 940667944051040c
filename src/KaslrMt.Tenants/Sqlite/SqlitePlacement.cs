namespace KaslrMt.Tenants.Sqlite;

/// <summary>The hosts on which a tenant has VMs, or to which its VMs migrate. With them a host's VMs are found without reading all hosts'.</summary>
/// <remarks>
/// A row is there from the tenant's first VM on the host to its last. A host's VMs are looked for among those of its tenants: all VMs of these tenants
/// are read, and each start and stop saves a write.
/// </remarks>
internal static class SqlitePlacement
{
    internal const string Add = "INSERT OR IGNORE INTO placement (host, tenant) VALUES (?1, ?2)";

    /// <summary>Deletes the row of a host (1) and tenant (2), unless one of the tenant's VMs is still there.</summary>
    internal const string Delete =
        """
        DELETE FROM placement WHERE host = ?1 AND tenant = ?2
          AND NOT EXISTS (SELECT 1 FROM record WHERE tenant = ?2 AND name > '' AND (host = ?1 OR target = ?1))
        """;

    /// <summary>The VMs of a host (1) after a tenant and name (2, 3), so many (4).</summary>
    internal const string PageOfHost =
        $"""
        SELECT {SqliteRows.VmColumns} FROM placement p CROSS JOIN record v ON v.tenant = p.tenant AND v.name > '' AND (v.host = ?1 OR v.target = ?1)
        WHERE p.host = ?1 AND p.tenant >= ?2 AND (v.tenant, v.name) > (?2, ?3) ORDER BY p.tenant, v.name LIMIT ?4
        """;

    internal const string AnyOfHost =
        """
        SELECT v.name FROM placement p CROSS JOIN record v ON v.tenant = p.tenant AND v.name > '' AND (v.host = ?1 OR v.target = ?1)
        WHERE p.host = ?1 LIMIT 1
        """;

    /// <summary>Finds the host and tenant of each VM that does not fit its tenant's placement.</summary>
    internal const string Faults =
        """
        SELECT host, tenant FROM (SELECT host, tenant FROM vm UNION SELECT target, tenant FROM vm WHERE target IS NOT NULL) EXCEPT SELECT host, tenant FROM placement
        UNION ALL
        SELECT host, tenant FROM placement p WHERE NOT EXISTS (
          SELECT 1 FROM record v WHERE v.tenant = p.tenant AND v.name > '' AND (v.host = p.host OR v.target = p.host))
        LIMIT 1000
        """;
}
