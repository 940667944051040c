using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The lists of the hosts' VMs: a key for each VM under its host, written in the same transaction as the VM.</summary>
public sealed partial class EtcdTenantStore
{
    // etcd takes 128 operations in a transaction (--max-txn-ops).
    private const int HostPageRows = 100;

    /// <inheritdoc/>
    public async IAsyncEnumerable<VmRecord> VmsOfHostAsync(string host, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string prefix = _keys.HostVmsOf(host);
        List<EtcdPair> page = [];
        await foreach (EtcdPair pair in PagesAsync(prefix, 0, cancellationToken).ConfigureAwait(false))
        {
            page.Add(pair);
            if (page.Count == HostPageRows)
            {
                foreach (VmRecord vm in await ReadVmsAsync(prefix, host, page, cancellationToken).ConfigureAwait(false))
                {
                    yield return vm;
                }

                page.Clear();
            }
        }

        foreach (VmRecord vm in await ReadVmsAsync(prefix, host, page, cancellationToken).ConfigureAwait(false))
        {
            yield return vm;
        }
    }

    private async Task<IReadOnlyList<VmRecord>> ReadVmsAsync(string prefix, string host, List<EtcdPair> page, CancellationToken cancellationToken)
    {
        if (page.Count == 0)
        {
            return [];
        }

        var txn = new EtcdTransaction();
        page.ForEach(pair => txn.Read(_keys.Vm(pair.Text, pair.Key[prefix.Length..])));
        EtcdAnswer answer = await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false);

        // One that stopped or moved since its key was read is no longer the host's.
        return
        [
            .. Enumerable.Range(0, page.Count).Select(i => answer.One(i).Read(EtcdJson.Default.VmRecord)).OfType<VmRecord>()
                .Where(vm => vm.Host == host || vm.Target == host),
        ];
    }

    /// <summary>Makes version 2 of a store of version 1, which had no lists of the hosts' VMs. Any number of processes may do it at once.</summary>
    /// <remarks>A process of the earlier version refuses from the moment the seal is written; a check shows the changes that it had under way then.</remarks>
    private async Task MigrateAsync(EtcdPair pair, CancellationToken cancellationToken)
    {
        await foreach (EtcdPair found in PagesAsync(_keys.Vms, 0, cancellationToken).ConfigureAwait(false))
        {
            VmRecord vm = found.Read(EtcdJson.Default.VmRecord)!;
            EtcdTransaction txn = new EtcdTransaction().Unchanged(found.Key, found.Modified);
            foreach (string key in _keys.HostVms(vm))
            {
                txn.Put(key, Encoding.ASCII.GetBytes(vm.Tenant));
            }

            // A VM that has changed meanwhile was changed by the earlier version, unless another process has brought the table to this one already.
            if (!(await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false)).Succeeded)
            {
                if (SchemaOf(await ReadOneAsync(_keys.Seal, cancellationToken).ConfigureAwait(false)) == EtcdSeal.NewestSchema)
                {
                    return;
                }

                throw new KaslrMtException(
                    TenantErrors.EtcdContended,
                    string.Create(CultureInfo.InvariantCulture, $"VM '{vm.Name}' changed while the table was brought to version {EtcdSeal.NewestSchema}"),
                    "end the kaslrmt processes of the earlier version and try again; nothing was lost");
            }
        }

        EtcdTransaction seal = new EtcdTransaction()
            .Unchanged(_keys.Seal, pair.Modified).Put(_keys.Seal, Bytes(EtcdSeal.Of(ReadSeal(pair)), EtcdJson.Default.EtcdSeal));
        await _client.TransactAsync(seal, cancellationToken).ConfigureAwait(false);
    }

    private static int SchemaOf(EtcdPair pair) => pair.Read(EtcdJson.Default.EtcdSeal)?.Schema ?? 0;
}
