using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KaslrMt.Guests;
using KaslrMt.HashBench;

// Usage: bench/hash.sh. Nanoseconds for a page's fingerprint, and milliseconds for those of a guest; compiled as the product is, which decides.
const int GuestBytes = 256 << 20;
const int Censuses = 15;
byte[] copy = new byte[PageCensus.PageSize];
Candidate[] candidates =
[
    new("copy of the page", (pages, at) =>
    {
        pages.AsSpan(at, PageCensus.PageSize).CopyTo(copy);
        return copy[0];
    }),
    new("XxHash128", (pages, at) => (ulong)XxHash128.HashToUInt128(pages.AsSpan(at, PageCensus.PageSize))),
    new("PageFingerprint.Of", (pages, at) => PageFingerprint.Of(pages.AsSpan(at, PageCensus.PageSize)).Low),
];

string compiled = RuntimeFeature.IsDynamicCodeSupported ? "ReadyToRun, then the JIT compiler" : "Native AOT";
Print($"{compiled}; 256-bit registers assumed: {Vector256.IsHardwareAccelerated}, 512-bit: {Vector512.IsHardwareAccelerated}; load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");

// The first census of a process is what a command pays; the runtime has compiled nothing twice by then.
using var guest = new HeldMemory(Pages.Guest(GuestBytes));
List<double> censuses = [];
for (int i = 0; i < Censuses; i++)
{
    long start = Stopwatch.GetTimestamp();
    _ = PageFingerprints.Read(guest, 256 << 10, 1);
    censuses.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
}

Print($"all pages of a guest of {GuestBytes >> 20} MiB, one thread: first {censuses[0]:0.0} ms, median {Candidate.Median(censuses):0.0} ms");
foreach ((string name, byte[] pages) in new[] { ("zeros", Pages.Zero()), ("random", Pages.Random()), ("a kernel's", Pages.OfKernel()) })
{
    double[] times = Candidate.Measure(candidates, pages);
    Print($"{name,-12} {string.Join(", ", candidates.Zip(times, (candidate, time) => string.Create(CultureInfo.InvariantCulture, $"{candidate.Name} {time:0.0} ns")))}");
}

static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
