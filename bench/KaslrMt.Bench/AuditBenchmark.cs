using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Bench;

/// <summary>A whole audit of a running guest, from nothing known to all checks done.</summary>
internal static class AuditBenchmark
{
    private const double Limit = 1000;

    /// <summary>Measures one guest.</summary>
    /// <param name="what">The guest, for the report.</param>
    /// <param name="name">Its kernel.</param>
    /// <param name="memory">Its RAM.</param>
    /// <param name="hints">What its processor says.</param>
    /// <param name="bare">What reading all its RAM once takes, in milliseconds.</param>
    /// <param name="median">The median of some rounds, in milliseconds.</param>
    public static IEnumerable<Result> Measure(string what, string name, IGuestMemory memory, KernelHints hints, double bare, Func<Action, double> median)
    {
        using TenantKey key = TenantKey.Generate();
        using SecretTraces secrets = SecretTraces.Of(key);
        yield return new Result($"audit, {what}", median(() => Audit(name, memory, hints, secrets, AuditCheckRegistry.BuiltIn)), bare, "reading all RAM once", "ms", Limit, LimitIsRatio: false);
        foreach (AuditCheck check in AuditCheckRegistry.BuiltIn)
        {
            GuestKernel kernel = GuestKernel.Find(memory, hints);
            using KernelImage image = KernelImage.Open(TestKernels.Image(name));
            yield return new Result(
                $"audit, {check.Name} alone, {what}",
                median(() => GuestAudit.Run(new AuditSubject(kernel) { Image = image, Secrets = secrets }, [check])),
                bare,
                "reading all RAM once",
                "ms",
                Limit,
                LimitIsRatio: false);
        }
    }

    private static void Audit(string name, IGuestMemory memory, KernelHints hints, SecretTraces secrets, IReadOnlyList<AuditCheck> checks)
    {
        Task<KernelImage> opening = Task.Run(() => KernelImage.Open(TestKernels.Image(name)));
        GuestKernel kernel = GuestKernel.Find(memory, hints);
        using KernelImage image = opening.GetAwaiter().GetResult();
        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(new AuditSubject(kernel) { Image = image, Secrets = secrets }, checks);
        if (outcomes.Any(outcome => !outcome.IsClean))
        {
            throw new InvalidOperationException($"{name}: the audit of a clean guest is not clean");
        }
    }
}
