using System.Globalization;
using KaslrMt.Bench;

// Usage: dotnet run -c Release --project bench/KaslrMt.Bench -- [micro|image|command|boot|gate|store|guests|sharing|change|grown|agent]...
string[] parts = args.Length > 0 ? args : ["micro", "image", "command", "boot", "gate", "store", "guests", "sharing"];
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"kaslrmt benchmarks, {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} processors, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}"));
List<Result> results = [];
foreach (string part in parts)
{
    results.AddRange(part switch
    {
        "micro" => MicroBenchmarks.Run(),
        "image" => ImageBenchmark.Run(),
        "command" => CommandBenchmark.Run(),
        "agent" => AgentBenchmark.Run(),
        "boot" => BootBenchmark.Run(),
        "gate" => await GateBenchmark.RunAsync(),
        "store" => await StoreBenchmark.RunAsync(),
        "change" => await StoreBenchmark.ChangeAsync(),
        "grown" => await GrownStoreBenchmark.RunAsync(),
        "guests" => await GuestBenchmark.RunAsync(),
        "sharing" => await SharingBenchmark.RunAsync(),
        _ => throw new ArgumentException($"'{part}' is no part: give micro, image, command, boot, gate, store, guests, sharing, agent, or one of store's parts, change or grown"),
    });
}

Result.Print(results);
return results.All(result => result.Met) ? 0 : 1;
