using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>The paper's section 5: how equal each class of pages is over several boots, for each choice of what is randomized.</summary>
/// <param name="folder">Where fingerprints are kept.</param>
/// <param name="settings">What is measured.</param>
/// <param name="boots">Boots the guests.</param>
/// <param name="progress">Takes how far it is.</param>
internal sealed class RegionsExperiment(ExperimentFolder folder, ExperimentSettings settings, GuestBoots boots, Progress progress)
{
    /// <summary>Measures what is missing, and compares.</summary>
    /// <param name="parallel">Guests at a time.</param>
    /// <param name="cancellationToken">Interrupts it; what is measured is kept.</param>
    /// <exception cref="KaslrMtException">KMT6028 when no policy has two probes; KMT6027 when a file of one is damaged; errors of the image, of QEMU and of the disk.</exception>
    public async Task<RegionsReport> RunAsync(int parallel, CancellationToken cancellationToken)
    {
        Policy[] policies = [.. settings.Variants.Select(text => Policy.Parse(text))];
        Restart(policies);
        (Policy Policy, string Label)[] missing = [.. Enumerable.Range(0, settings.Guests)
            .SelectMany(probe => policies.Select(policy => (policy, Label(policy, probe))))
            .Where(item => !File.Exists(folder.ProbeFile(item.Item2)))];
        if (missing.Length > 0)
        {
            await MeasureAsync(missing, parallel, cancellationToken).ConfigureAwait(false);
        }

        if (boots.Skipped.Count == 0)
        {
            folder.ForgetKey();
        }

        progress.Say("comparing", 0, 0);
        var measured = new PolicyEquality?[policies.Length];
        await Parallel.ForAsync(0, policies.Length, new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellationToken }, (i, _) =>
        {
            measured[i] = Compare(policies[i]);
            return ValueTask.CompletedTask;
        }).ConfigureAwait(false);
        progress.Clear();
        RegionsReport report = RegionsReport.Of(settings, [.. measured.OfType<PolicyEquality>()], boots.Skipped, boots.MeanSeconds);
        return report.Policies.Count > 0
            ? report
            : throw new KaslrMtException(SharingErrors.ExperimentTooFewGuests, "no policy has two probes that booted");
    }

    private static string Label(Policy policy, int probe) => string.Create(CultureInfo.InvariantCulture, $"{policy}-{probe}");

    // The tenant's key is gone or was never drawn: probes measured with another one have other bases, and a policy's must agree.
    private void Restart(Policy[] policies)
    {
        if (folder.HasKey)
        {
            return;
        }

        foreach (Policy policy in policies)
        {
            string[] files = [.. Enumerable.Range(0, settings.Guests).Select(probe => folder.ProbeFile(Label(policy, probe)))];
            if (policy.NeedsTenantKey && !files.All(File.Exists))
            {
                Array.ForEach(files, File.Delete);
            }
        }
    }

    private async Task MeasureAsync((Policy Policy, string Label)[] missing, int parallel, CancellationToken cancellationToken)
    {
        using TenantKey key = folder.Key();
        int done = 0;
        progress.Say("booting", 0, missing.Length);
        await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellationToken }, async (item, cancel) =>
        {
            await boots.TryAsync(item.Label, GuestLayout.OfTenant(key, item.Policy), guest => ReadAsync(guest, item.Label, cancel), cancel).ConfigureAwait(false);
            progress.Say($"policy {item.Policy}", Interlocked.Increment(ref done), missing.Length);
        }).ConfigureAwait(false);
    }

    private async Task<bool> ReadAsync(ExperimentGuest guest, string label, CancellationToken cancellationToken)
    {
        await guest.PauseAsync(cancellationToken).ConfigureAwait(false);
        GuestKernel kernel = await guest.OpenKernelAsync(cancellationToken).ConfigureAwait(false);
        ProbeFile.Write(folder.ProbeFile(label), ProbePages.ReadKernel(kernel));
        return false;
    }

    private PolicyEquality? Compare(Policy policy)
    {
        ProbePages[] probes = [.. Enumerable.Range(0, settings.Guests)
            .Select(probe => folder.ProbeFile(Label(policy, probe)))
            .Where(File.Exists)
            .Select(ProbeFile.Read)];
        return probes.Length < 2 ? null : new PolicyEquality(policy, probes.Length, ProbeComparison.Compare(probes));
    }
}
