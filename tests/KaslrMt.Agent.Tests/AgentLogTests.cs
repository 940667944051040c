using KaslrMt.Layout;
using KaslrMt.Vms;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Agent.Tests;

/// <summary>The agent's log has what a developer needs, and no caller can fill the disk with it.</summary>
public sealed class AgentLogTests : IDisposable
{
    private readonly StringWriter _written = new();
    private readonly Clock _clock = new();
    private readonly AgentLog _log;

    public AgentLogTests() => _log = new AgentLog(_written, _clock);

    private string[] Lines => _written.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public void Dispose()
    {
        _log.Dispose();
        _written.Dispose();
    }

    [Fact]
    public void An_internal_error_is_one_line_for_the_caller_and_all_of_it_in_the_log()
    {
        Problem problem = Failures.Of(Thrown("the socket\u001b[2J\nis gone"), Context());
        Assert.Equal(CoreErrors.Internal.ToString(), problem.Code);
        Assert.DoesNotContain("socket", problem.Message, StringComparison.Ordinal);
        Assert.Equal("kaslrmt: KMT9000: internal error in POST /v1/vms/a/migrate; please report it", Lines[0]);
        Assert.Contains(Lines, line => line.StartsWith("kaslrmt:   System.InvalidTimeZoneException: the socket", StringComparison.Ordinal));
        Assert.Contains(Lines, line => line.Contains(nameof(Thrown), StringComparison.Ordinal));
        Assert.All(Lines, line => Assert.StartsWith("kaslrmt: ", line, StringComparison.Ordinal));
        Assert.DoesNotContain('\u001b', _written.ToString());
    }

    [Fact]
    public async Task Whatever_a_request_throws_is_logged()
    {
        // No socket is behind this request, which no caller can bring about.
        HttpContext context = Context();
        await Requests.GuardAsync(context, _ => throw new InvalidOperationException("not reached"));
        Assert.Equal(StatusCodes.Status500InternalServerError, context.Response.StatusCode);
        Assert.Contains(Lines, line => line.Contains(nameof(InvalidOperationException), StringComparison.Ordinal));
    }

    [Fact]
    public void Expected_outcomes_are_the_callers_alone()
    {
        Failures.Of(new KaslrMtException(VmErrors.Link, "hung up"), Context());
        Failures.Of(new IOException("no space left"), Context());
        Failures.Of(new UnauthorizedAccessException("no"), Context());
        Failures.Of(new OperationCanceledException("gone"), Context());
        Assert.Empty(Lines);
    }

    [Fact]
    public void A_caller_who_brings_about_errors_without_end_fills_no_disk()
    {
        HttpContext context = Context();
        InvalidTimeZoneException error = Thrown(new string('x', 10 * AgentLog.LongestError));
        for (int i = 0; i < 10_000; i++)
        {
            Failures.Of(error, context);
        }

        Assert.Equal(AgentLog.MostErrors, Lines.Count(line => line.Contains("KMT9000", StringComparison.Ordinal)));
        Assert.InRange(_written.ToString().Length, AgentLog.LongestError, AgentLog.MostErrors * 2 * AgentLog.LongestError);

        _clock.Now += AgentLog.Period;
        Failures.Of(Thrown("later"), Context());
        Assert.Contains($"kaslrmt: {10_000 - AgentLog.MostErrors} more like the following were not logged", Lines);
        Assert.Contains(Lines, line => line.Contains("later", StringComparison.Ordinal));
    }

    [Fact]
    public void One_message_without_end_hides_no_other()
    {
        ILogger log = _log.CreateLogger(AgentLog.Category);
        for (int i = 0; i < 10 * AgentLog.MostLines; i++)
        {
            log.CallerSentAway("it says nothing");
        }

        log.TableBack();
        Assert.Equal(AgentLog.MostLines + 1, Lines.Length);
        Assert.Equal("kaslrmt: the tenant table is back", Lines[^1]);
    }

    [Fact]
    public void The_web_server_is_heard_when_it_warns()
    {
        ILogger web = _log.CreateLogger("Microsoft.AspNetCore.Server.Kestrel");
        web.Log(LogLevel.Information, "a detail");
        web.Log(LogLevel.Error, "a problem");
        Assert.Equal(["kaslrmt: Microsoft.AspNetCore.Server.Kestrel: a problem"], Lines);
    }

    [Fact]
    public void No_message_takes_a_secret()
    {
        Type[] secrets = [typeof(TenantKey), typeof(VmSeed), typeof(VmSecrets), typeof(KernelLayout), typeof(IntendedLayout), typeof(byte[])];
        Type[] taken = [.. new[] { typeof(VmMessages), typeof(AgentMessages) }
            .SelectMany(type => type.GetMethods()).SelectMany(method => method.GetParameters()).Select(parameter => parameter.ParameterType)];
        Assert.Contains(typeof(ILogger), taken);
        Assert.Empty(taken.Intersect(secrets));
    }

    private DefaultHttpContext Context()
    {
        var services = new ServiceCollection();
        services.AddSingleton(_log.CreateLogger(AgentLog.Category));
        return new DefaultHttpContext
        {
            RequestServices = services.BuildServiceProvider(),
            Request = { Method = "POST", Path = "/v1/vms/a/migrate" },
        };
    }

    private static InvalidTimeZoneException Thrown(string message)
    {
        try
        {
            throw new InvalidTimeZoneException(message);
        }
        catch (InvalidTimeZoneException error)
        {
            return error;
        }
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
