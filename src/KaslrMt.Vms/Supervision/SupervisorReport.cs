using System.Globalization;
using System.Text;

namespace KaslrMt.Vms;

/// <summary>What a supervisor tells the command that started it, line by line at standard output, until the VM runs or failed.</summary>
/// <param name="output">The supervisor's standard output.</param>
internal sealed class SupervisorReport(Stream output)
{
    private const string LineWord = "line ";
    private const string ResultWord = "result ";
    private const string EndWord = "end ";

    private readonly Lock _gate = new();
    private bool _ended;

    /// <summary>Passes a line of the log on.</summary>
    public void Line(string text) => Send(LineWord + text.ReplaceLineEndings(" "), last: false);

    /// <summary>Tells what an order came to.</summary>
    /// <param name="json">One line.</param>
    public void Result(string json) => Send(ResultWord + json, last: false);

    /// <summary>Tells the outcome; nothing is told after it.</summary>
    /// <param name="exitCode">What the starting command is to return.</param>
    public void End(int exitCode) => Send(string.Create(CultureInfo.InvariantCulture, $"{EndWord}{exitCode}"), last: true);

    /// <summary>Reads what a supervisor tells.</summary>
    /// <param name="input">Its standard output.</param>
    /// <param name="lines">Takes the lines it passes on.</param>
    /// <param name="result">Takes what the order came to; or null.</param>
    /// <returns>The exit code; null when it ended without one.</returns>
    public static async Task<int?> ReadAsync(Stream input, TextWriter lines, Action<string>? result = null)
    {
        using var reader = new StreamReader(input, Encoding.UTF8, leaveOpen: true);
        while (await reader.ReadLineAsync().ConfigureAwait(false) is string line)
        {
            if (line.StartsWith(LineWord, StringComparison.Ordinal))
            {
                await lines.WriteLineAsync(line.AsMemory(LineWord.Length)).ConfigureAwait(false);
            }
            else if (line.StartsWith(ResultWord, StringComparison.Ordinal))
            {
                result?.Invoke(line[ResultWord.Length..]);
            }
            else if (line.StartsWith(EndWord, StringComparison.Ordinal)
                && int.TryParse(line.AsSpan(EndWord.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int code))
            {
                return code;
            }
        }

        return null;
    }

    private void Send(string line, bool last)
    {
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _ended = last;
            try
            {
                output.Write(Encoding.UTF8.GetBytes(line + "\n"));
            }
            catch (IOException)
            {
                // Who started it was ended; the VM goes on.
                _ended = true;
            }
        }
    }
}
