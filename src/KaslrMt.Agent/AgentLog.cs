using System.Text;

namespace KaslrMt.Agent;

/// <summary>The agent's own log: lines on standard error, which systemd keeps.</summary>
/// <param name="output">Standard error.</param>
internal sealed class AgentLog(TextWriter output) : TextWriter
{
    private readonly Lock _gate = new();

    /// <inheritdoc/>
    public override Encoding Encoding => Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => throw new NotSupportedException("the log takes lines");

    /// <inheritdoc/>
    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override void WriteLine(string? value)
    {
        lock (_gate)
        {
            try
            {
                output.WriteLine(value);
            }
            catch (IOException)
            {
                // No line of a log is worth a VM.
            }
        }
    }
}
