using System.Globalization;
using KaslrMt.Bench;

<<<<<<< HEAD
// Usage: dotnet run -c Release --project bench/KaslrMt.Bench -- [micro|image|command|boot|store|guests]...
string[] parts = args.Length > 0 ? args : ["micro", "image", "command", "boot", "store", "guests"];
=======
// Usage: dotnet run -c Release --project bench/KaslrMt.Bench -- [micro|image|command|boot|store|change|grown]...
string[] parts = args.Length > 0 ? args : ["micro", "image", "command", "boot", "store"];
>>>>>>> 202eb53f621705f4a7e8566335111f9f6f5d5e20
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
        "boot" => BootBenchmark.Run(),
        "store" => await StoreBenchmark.RunAsync(),
<<<<<<< HEAD
        "guests" => await GuestBenchmark.RunAsync(),
        _ => throw new ArgumentException($"'{part}' is no part: give micro, image, command, boot, store or guests"),
=======
        "change" => await StoreBenchmark.ChangeAsync(),
        "grown" => await GrownStoreBenchmark.RunAsync(),
        _ => throw new ArgumentException($"'{part}' is no part: give micro, image, command, boot, store, or one of store's parts, change or grown"),
>>>>>>> 202eb53f621705f4a7e8566335111f9f6f5d5e20
    });
}

Result.Print(results);
return results.All(result => result.Met) ? 0 : 1;
