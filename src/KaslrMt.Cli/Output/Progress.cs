using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.Cli.Output;

/// <summary>How far long work has come: one line at a terminal that is written over, and now and then a line elsewhere.</summary>
internal sealed class Progress
{
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(10);

    private readonly TextWriter _error;
    private readonly int? _columns;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _gate = new();
    private TimeSpan _lastLine;

    private Progress(TextWriter error, int? columns)
    {
        _error = error;
        _columns = columns;
    }

    /// <summary>Progress of work that begins now.</summary>
    /// <param name="error">Standard error.</param>
    public static Progress To(TextWriter error) => new(error, Terminal.ErrorColumns());

    /// <summary>Says how far the work is.</summary>
    /// <param name="what">What is done now.</param>
    /// <param name="done">Steps behind it.</param>
    /// <param name="all">All steps; 0 where nobody knows.</param>
    public void Say(string what, long done, long all)
    {
        lock (_gate)
        {
            string line = all > 0
                ? string.Create(CultureInfo.InvariantCulture, $"kaslrmt: {done} of {all}: {what}{Left(done, all)}")
                : $"kaslrmt: {what}";
            if (_columns is int columns)
            {
                _error.Write($"\r\x1b[K{(line.Length < columns ? line : line[..(columns - 1)])}");
                _error.Flush();
            }
            else if (_clock.Elapsed - _lastLine >= LineInterval)
            {
                _lastLine = _clock.Elapsed;
                _error.WriteLine(line);
            }
        }
    }

    /// <summary>Writes a line that stays.</summary>
    public void Line(string text)
    {
        lock (_gate)
        {
            Clear();
            _error.WriteLine(text);
        }
    }

    /// <summary>Takes the line away.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            if (_columns is not null)
            {
                _error.Write("\r\x1b[K");
                _error.Flush();
            }
        }
    }

    private string Left(long done, long all)
    {
        if (done == 0 || done >= all || _clock.Elapsed < TimeSpan.FromSeconds(2))
        {
            return "";
        }

        TimeSpan left = _clock.Elapsed / done * (all - done);
        return left.TotalMinutes >= 1
            ? string.Create(CultureInfo.InvariantCulture, $", about {left.TotalMinutes:0} min left")
            : string.Create(CultureInfo.InvariantCulture, $", about {left.TotalSeconds:0} s left");
    }
}
