using System.Text;

namespace KaslrMt.Agent;

/// <summary>Hands lines of a log on.</summary>
/// <param name="lines">Takes them.</param>
internal sealed class LineWriter(Action<string> lines) : TextWriter
{
    /// <inheritdoc/>
    public override Encoding Encoding => Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => throw new NotSupportedException("lines are taken");

    /// <inheritdoc/>
    public override void WriteLine(string? value) => lines(value ?? "");

    /// <inheritdoc/>
    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }
}
