using System.Collections.Concurrent;
using System.Globalization;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>The agent's own log: lines on standard error, which systemd keeps.</summary>
/// <param name="output">Standard error.</param>
/// <param name="clock">The clock of the limits.</param>
/// <remarks>No caller can fill the disk: each message has a limit of its own, and what is left out is counted.</remarks>
internal sealed class AgentLog(TextWriter output, TimeProvider clock) : ILoggerProvider
{
    /// <summary>The category of the agent's own messages. Other categories are the web server's.</summary>
    public const string Category = "KaslrMt";

    /// <summary>How often one message is written in each <see cref="Period"/>.</summary>
    public const int MostLines = 200;

    /// <summary>How often a message with the text of an exception is written in each <see cref="Period"/>.</summary>
    public const int MostErrors = 10;

    /// <summary>The most characters of an exception's text.</summary>
    public const int LongestError = 16 << 10;

    /// <summary>How long the limits hold.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromMinutes(30);

    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<(string Category, int Message), Limit> _limits = new();

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    /// <inheritdoc/>
    public void Dispose()
    {
        // Standard error is not this object's.
    }

    private void Write(string category, LogLevel level, EventId message, string text, Exception? error)
    {
        string line = LineLogger.Line(level, category == Category ? text : $"{category}: {text}");
        lock (_gate)
        {
            Limit limit = _limits.GetOrAdd((category, message.Id), _ => new Limit());
            if (!limit.Admits(clock.GetTimestamp(), clock, error is null ? MostLines : MostErrors, out int leftOut))
            {
                return;
            }

            try
            {
                if (leftOut > 0)
                {
                    output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"kaslrmt: {leftOut} more like the following were not logged"));
                }

                output.WriteLine(line);
                foreach (string part in error is null ? [] : TextOf(error))
                {
                    output.WriteLine($"kaslrmt:   {part}");
                }
            }
            catch (IOException)
            {
                // No line of a log is worth a VM.
            }
        }
    }

    // Its message may quote what a caller, a kernel or a guest sent: no control character of it reaches the log.
    private static IEnumerable<string> TextOf(Exception error)
    {
        string text = error.ToString();
        return (text.Length > LongestError ? text[..LongestError] : text).Split('\n').Select(line => Printable.Of(line.TrimEnd('\r'), LongestError));
    }

    private sealed class Limit
    {
        private long _since;
        private int _written;
        private int _leftOut;

        public bool Admits(long now, TimeProvider clock, int most, out int leftOut)
        {
            if (_written == 0 || clock.GetElapsedTime(_since, now) >= Period)
            {
                (_since, _written) = (now, 0);
            }

            bool admits = _written < most;
            leftOut = admits ? _leftOut : 0;
            (_written, _leftOut) = admits ? (_written + 1, 0) : (_written, _leftOut + 1);
            return admits;
        }
    }

    private sealed class Logger(AgentLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel is not LogLevel.None && logLevel >= (category == Category ? LogLevel.Information : LogLevel.Warning);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                log.Write(category, logLevel, eventId, formatter(state, exception), exception);
            }
        }
    }
}
