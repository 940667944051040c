using System.CommandLine;
using System.Diagnostics;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt inspect</c>: a guest's address-space map, read from outside.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        var command = new Command("inspect", "Show where everything lies in a guest's kernel address space, read from its memory");
        GuestOptions guest = new GuestOptions().AddTo(command);
        command.Options.Add(json);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using GuestSource source = await guest.OpenAsync(parsed, cancellation).ConfigureAwait(false);
            long start = Stopwatch.GetTimestamp();
            GuestKernel kernel = source.Kernel;
            double elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            Report.Facts(parsed.InvocationConfiguration.Output, ("guest", source.Label), ("kernel", kernel.Release), ("text", kernel.VirtualBase.ToString()), ("at", kernel.PhysicalBase.ToString()), ("time", $"{elapsed}"));
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt inspect web1", "kaslrmt inspect --pid 4711 --pause", "kaslrmt inspect --core guest.core --json");
    }
}
