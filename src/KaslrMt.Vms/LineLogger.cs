using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>A logger whose messages are lines for people.</summary>
/// <param name="lines">Takes the lines, by several threads at once.</param>
internal sealed class LineLogger(Action<string> lines) : ILogger
{
    /// <summary>What each line begins with.</summary>
    public const string Prefix = "kaslrmt: ";

    /// <summary>A logger that drops every message.</summary>
    public static LineLogger None { get; } = new(_ => { });

    /// <summary>Gets the line of a message: <c>kaslrmt: </c>, <c>WARNING: </c> for a warning, and the message.</summary>
    public static string Line(LogLevel level, string message) => $"{Prefix}{(level == LogLevel.Warning ? "WARNING: " : "")}{message}";

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        ArgumentNullException.ThrowIfNull(formatter);
        if (IsEnabled(logLevel))
        {
            lines(Line(logLevel, formatter(state, exception)));
        }
    }
}
