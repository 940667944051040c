using System.CommandLine;

namespace KaslrMt.Cli.Sharing;

/// <summary>What writes a comparison of guests as a page: the program for experiments has it, the command has not.</summary>
internal interface ISharingPage
{
    /// <summary>Adds its options to the command.</summary>
    void AddTo(Command command);

    /// <summary>Says early that the page would not be written.</summary>
    void Check(ParseResult parsed);

    /// <summary>Writes the page, if one was asked for.</summary>
    void Write(ParseResult parsed, SharingReport report);
}
