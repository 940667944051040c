using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using KaslrMt.Cli.Options;

namespace KaslrMt.Cli.Guests;

/// <summary>
/// How every command that looks into a guest's memory is told which: <c>NAME</c>, <c>--pid N [--qmp SOCKET]</c>, <c>--ram FILE [--machine TYPE]</c>
/// or <c>--core FILE</c>; and <c>--pause</c>.
/// </summary>
internal sealed class GuestOptions
{
    private readonly Argument<string?> _name = new Argument<string?>("NAME")
    {
        Description = "A VM of ours, as 'kaslrmt ps' lists it; or name another source",
        Arity = ArgumentArity.ZeroOrOne,
    }.NotEmpty();

    private readonly Option<int?> _process = new("--pid")
    {
        Description = "Anybody's QEMU, by its process number",
        HelpName = "N",
        CustomParser = result => Try(result, ParseProcess),
    };

    private readonly Option<string?> _monitor = new Option<string?>("--qmp") { Description = "With --pid: its QMP socket; else the one its command line names", HelpName = "SOCKET" }.NotEmpty();
    private readonly Option<string?> _ram = new Option<string?>("--ram") { Description = "A file of raw RAM: a memory backend's, or pmemsave's", HelpName = "FILE" }.NotEmpty();
    private readonly Option<string?> _machine = new Option<string?>("--machine") { Description = "With --ram: pc, q35 or microvm, for the hole below 4 GiB", HelpName = "TYPE" }.NotEmpty();
    private readonly Option<string?> _core = new Option<string?>("--core") { Description = "An ELF core that dump-guest-memory wrote", HelpName = "FILE" }.NotEmpty();
    private readonly Option<bool> _pause = new("--pause") { Description = "Stop the guest meanwhile, for a view of one moment" };

    /// <summary>Gives them to a command.</summary>
    public GuestOptions AddTo(Command command)
    {
        command.Arguments.Add(_name);
        command.Options.Add(_process);
        command.Options.Add(_monitor);
        command.Options.Add(_ram);
        command.Options.Add(_machine);
        command.Options.Add(_core);
        command.Options.Add(_pause);
        command.Validators.Add(Check);
        return this;
    }

    /// <summary>What a call says.</summary>
    public GuestReference Of(ParseResult parsed) => new()
    {
        Name = parsed.GetValue(_name),
        Process = parsed.GetValue(_process),
        Monitor = parsed.GetValue(_monitor),
        Ram = parsed.GetValue(_ram),
        Machine = parsed.GetValue(_machine),
        Core = parsed.GetValue(_core),
        Pause = parsed.GetValue(_pause),
    };

    /// <summary>Opens what a call says.</summary>
    /// <exception cref="KaslrMtException">Errors of the source.</exception>
    public Task<GuestSource> OpenAsync(ParseResult parsed, CancellationToken cancellationToken) =>
        GuestSource.OpenAsync(Of(parsed), parsed.InvocationConfiguration.Error, cancellationToken);

    /// <summary>A process number.</summary>
    /// <exception cref="KaslrMtException">KMT9001.</exception>
    public static int ParseProcess(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0
            ? number
            : throw new KaslrMtException(CoreErrors.Usage, $"'{Printable.Of(text, 40)}' is no process number", "see 'pgrep -a qemu'");

    private static int? Try(ArgumentResult result, Func<string, int> parse)
    {
        try
        {
            return parse(result.Tokens[0].Value);
        }
        catch (KaslrMtException error)
        {
            result.AddError($"--pid: {error.Problem}");
            return null;
        }
    }

    private void Check(CommandResult result)
    {
        bool Given(Option option) => result.GetResult(option) is { Implicit: false };
        bool named = result.GetResult(_name) is { Tokens.Count: > 0 }, process = Given(_process), ram = Given(_ram), core = Given(_core);
        int given = (named ? 1 : 0) + (process ? 1 : 0) + (ram ? 1 : 0) + (core ? 1 : 0);
        string? problem = given switch
        {
            0 => "no guest is named: give a VM's NAME, --pid N, --ram FILE or --core FILE",
            > 1 => "several guests are named: give one of NAME, --pid, --ram and --core",
            _ when Given(_monitor) && !process => "--qmp goes with --pid",
            _ when Given(_machine) && !ram => "--machine goes with --ram",
            _ when Given(_pause) && (ram || core) => "--pause goes with a running guest: a file stands still",
            _ => null,
        };
        if (problem is not null)
        {
            result.AddError(problem);
        }
    }
}
