using System.CommandLine;
using KaslrMt.Cli.Options;

namespace KaslrMt.Lab.Experiments;

/// <summary>The options that all experiments take.</summary>
internal sealed class ExperimentOptions
{
    // Hidden from the sweep of VMs' folders, as the cache of prepared kernels is.
    private const string InitramfsFolder = ".initramfs";

    private const int MostParallel = 256;
    private const int LongestBoot = 3600;

    private readonly Option<string> _guest = new("--guest")
    {
        Description = "minimal (busybox and a dozen modules) or debian (eng/guests.sh)",
        HelpName = "KIND",
        DefaultValueFactory = _ => GuestRecipes.Minimal,
    };

    private readonly Option<string> _kernel = new Option<string>("--kernel")
    {
        Description = "The kernel's name in the cache: 6.1-cloud or 6.12-cloud",
        HelpName = "NAME",
        DefaultValueFactory = _ => "6.1-cloud",
    }.NotEmpty();

    private readonly Option<string> _memory = new Option<string>("--memory") { Description = "RAM of each guest", HelpName = "SIZE", DefaultValueFactory = _ => "256M" }.NotEmpty();
    private readonly Option<string> _output;
    private readonly Option<int> _parallel = CommonOptions.Number(["--parallel"], standard: 0, least: 1, most: MostParallel);
    private readonly Option<int> _limit = CommonOptions.Number(["--boot-limit"], standard: 180, least: 1, most: LongestBoot);

    /// <summary>The options of an experiment.</summary>
    /// <param name="name">Its name.</param>
    public ExperimentOptions(string name)
    {
        // What it is follows from the machine; help has no number to show.
        _parallel.DefaultValueFactory = null;
        _guest.AcceptOnlyFromAmong(GuestRecipes.Minimal, GuestRecipes.Debian);
        _output = new Option<string>("--output", "-o")
        {
            Description = "Where results are kept; an experiment that was interrupted goes on there",
            HelpName = "FOLDER",
            DefaultValueFactory = _ => $"./kaslrmt-experiment-{name}",
        }.NotEmpty();
        _parallel.Description = "Guests that boot at a time; default: as processors and free memory allow";
        _parallel.HelpName = "N";
        _limit.Description = "Seconds a guest may take to settle; then it is ended, tried once more, and skipped";
        _limit.HelpName = "SECONDS";
    }

    /// <summary>Gives them to a command.</summary>
    public ExperimentOptions AddTo(Command command)
    {
        foreach (Option option in (Option[])[_guest, _kernel, _memory, _output, _parallel, _limit])
        {
            command.Options.Add(option);
        }

        return this;
    }

    /// <summary>The kernel's name.</summary>
    public string Kernel(ParseResult parsed) => parsed.GetRequiredValue(_kernel);

    /// <summary>The folder.</summary>
    public string Output(ParseResult parsed) => parsed.GetRequiredValue(_output);

    /// <summary>How many guests to boot at a time; null for as many as fit.</summary>
    public int? Parallel(ParseResult parsed) => parsed.GetValue(_parallel) is > 0 and int asked ? asked : null;

    /// <summary>This machine.</summary>
    /// <exception cref="KaslrMtException">Errors of the runtime directory.</exception>
    public ExperimentHost Host(ParseResult parsed) => ExperimentHost.Open(TimeSpan.FromSeconds(parsed.GetValue(_limit)));

    /// <summary>The guests.</summary>
    /// <param name="parsed">The call.</param>
    /// <param name="host">What they run on; files that the recipe needs are kept with it.</param>
    /// <exception cref="KaslrMtException">KMT9001, KMT6025, KMT30xx.</exception>
    public GuestRecipe Recipe(ParseResult parsed, ExperimentHost host)
    {
        string text = parsed.GetRequiredValue(_memory);
        if (!ByteSize.TryParse(text, out ByteSize memory))
        {
            throw new KaslrMtException(CoreErrors.Usage, $"--memory '{Printable.Of(text, 40)}' is no size", "write it as 256M");
        }

        return Recipe(parsed.GetRequiredValue(_guest), Kernel(parsed), memory, host);
    }

    /// <summary>The guests of a kind.</summary>
    /// <exception cref="KaslrMtException">KMT6025, KMT30xx.</exception>
    internal static GuestRecipe Recipe(string kind, string kernel, ByteSize memory, ExperimentHost host)
    {
        GuestRecipe recipe = GuestRecipes.Find(kind, kernel, memory, Path.Combine(host.Runtime.Path, InitramfsFolder));

        // A size that no machine has, or that the initrd does not fit in, is said before anything is done.
        _ = recipe.Machine.PlaceMemory(memory, (ulong)new FileInfo(recipe.Initrd).Length);
        return recipe;
    }
}
