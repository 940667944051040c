using System.Text.Json.Nodes;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>Requests that are malformed: each gets one line, and the agent goes on.</summary>
public sealed class RequestTests(RunningAgent agent) : IClassFixture<RunningAgent>
{
    public static TheoryData<string, string> Malformed => new()
    {
        { "vms", "" },
        { "vms", "{" },
        { "vms", "[]" },
        { "vms", "null" },
        { "vms", "5" },
        { "vms", "{}" },
        { "vms", """{"spec":null}""" },
        { "vms", """{"spec":7}""" },
        { "vms", """{"spec":{}}""" },
        { "vms", """{"spec":{"name":"a"}}""" },
        { "vms", "{\"spec\":\0}" },
        { "vms", new string('[', 100_000) },
        { "vms", """{"a":""" + new string('{', 70) },
        { "vms/a/stop", "{}" },
        { "vms/a/stop", """{"grace":"soon"}""" },
        { "vms/a/stop", """{"grace":1e99}""" },
        { "vms/a/stop", """{"grace":null}""" },
        { "vms/a/save", "{}" },
        { "vms/a/save", """{"file":null}""" },
        { "vms/a/save", """{"file":["/x"]}""" },
        { "vms/a/restore", """{"table":{}}""" },
        { "vms/a/restore", """{"file":"/x","table":{}}""" },
        { "vms/a/restore", """{"file":"/x","table":{"stateDirectory":"x"}}""" },
        { "vms/a/migrate", """{"to":1}""" },
        { "vms/a/receive", """{"listen":null}""" },
    };

    // A member of a good specification, and what it becomes.
    public static TheoryData<string, string> WrongMembers => new()
    {
        { "name", "5" },
        { "kernel", "null" },
        { "kernel", "\"relative\"" },
        { "initrd", "\"relative\"" },
        { "workingDirectory", "\"\"" },
        { "commandLine", "null" },
        { "memory", "-1" },
        { "memory", "1e30" },
        { "memory", "0" },
        { "memory", "1" },
        { "memory", "18446744073709551615" },
        { "cpus", "\"two\"" },
        { "accelerator", "\"warp\"" },
        { "console", "null" },
        { "console", "\"stdio\"" },
        { "qemuArguments", "null" },
        { "qemuArguments", "[null]" },
        { "qemuArguments", "\"-S\"" },
        { "table", "{}" },
        { "table", "7" },
    };

    // As above; the VM cannot be.
    public static TheoryData<string, string> Impossible => new()
    {
        { "name", "\"../x\"" },
        { "name", "\"\"" },
        { "kernel", "\"/nosuch\"" },
        { "kernel", "\"/etc\"" },
        { "kernel", "\"/dev/zero\"" },
        { "kernel", "\"/dev/null\"" },
        { "initrd", "\"/nosuch\"" },
        { "memory", "18446744073708503040" },
        { "machine", "\"toaster\"" },
        { "policy", "\"12\"" },
        { "policy", "\"\"" },
        { "producer", "\"dice\"" },
        { "cpus", "0" },
        { "cpus", "-1" },
        { "cpus", "100000" },
        { "qemuProgram", "\"/nosuch\"" },
        { "qemuProgram", "\"\"" },
        { "qemuArguments", "[\"-daemonize\"]" },
        { "qemuArguments", "[\"-nosuch\"]" },
        { "console", "\"/nosuch/console\"" },
        { "moduleAddresses", "\"x\"" },
        { "commandLine", "\"kaslr_mt=x\"" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public async Task A_body_that_is_not_what_it_must_be_is_refused(string path, string body) =>
        (await agent.Api.PostAsync($"v1/{path}", body)).FailedWith(400, VmErrors.RequestInvalid);

    [Fact]
    public async Task A_body_that_is_not_UTF_8_is_refused() =>
        (await agent.Api.SendAsync(HttpMethod.Post, "v1/vms", new ByteArrayContent([0x22, 0xff, 0xfe, 0x22]))).FailedWith(400, VmErrors.RequestInvalid);

    [Theory]
    [MemberData(nameof(WrongMembers))]
    public async Task A_specification_with_a_member_of_the_wrong_kind_is_refused(string member, string value)
    {
        (await agent.Api.PostAsync("v1/vms", With("wrong", member, value))).FailedWith(400, VmErrors.RequestInvalid);
        Assert.DoesNotContain("wrong", await agent.Api.NamesAsync());
    }

    [Theory]
    [MemberData(nameof(Impossible))]
    public async Task A_VM_that_cannot_be_fails_in_one_line_and_leaves_nothing(string member, string value)
    {
        string name = $"impossible-{Guid.NewGuid():N}";
        ApiAnswer answer = await agent.Api.PostAsync("v1/vms", With(name, member, value));
        Assert.NotNull(answer.Problem);
        Assert.NotEqual(CoreErrors.Internal.ToString(), answer.Problem.Code);
        Assert.DoesNotContain('\n', answer.Problem.Message);
        Assert.DoesNotContain(name, await agent.Api.NamesAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_that_is_too_large_is_refused(bool chunked)
    {
        const int Piece = 1 << 20;
        using RawConnection raw = await RawConnection.OpenAsync(agent.Socket);
        Task<string> answer = raw.ReadToEndAsync();
        await raw.SendAsync($"POST /v1/vms HTTP/1.1\r\nHost: a\r\n{(chunked ? "Transfer-Encoding: chunked" : $"Content-Length: {VmSpec.LargestSize * 2}")}\r\n\r\n");
        try
        {
            for (int sent = 0; chunked && sent < VmSpec.LargestSize * 2; sent += Piece)
            {
                await raw.SendAsync($"{Piece:x}\r\n{(sent == 0 ? '"' : 'a')}{new string('a', Piece - 1)}\r\n");
            }
        }
        catch (IOException)
        {
            // Cut off in the middle.
        }

        Assert.StartsWith("HTTP/1.1 413 ", await answer, StringComparison.Ordinal);
        Assert.Contains(VmErrors.RequestInvalid.ToString(), await answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "", 404)]
    [InlineData("GET", "v2", 404)]
    [InlineData("GET", "v1/nothing", 404)]
    [InlineData("GET", "v1/vms/a/b/c", 404)]
    [InlineData("GET", "v1/vms/a/stop", 405)]
    [InlineData("POST", "v1", 405)]
    [InlineData("DELETE", "v1/vms/a", 405)]
    [InlineData("PUT", "v1/vms", 405)]
    public async Task A_path_that_is_not_there_is_a_problem(string method, string path, int status) =>
        (await agent.Api.SendAsync(new HttpMethod(method), path, null)).FailedWith(status, VmErrors.RequestInvalid);

    [Theory]
    [InlineData("-x")]
    [InlineData(".x")]
    [InlineData("..%2F..%2Fetc")]
    [InlineData("a%20b")]
    [InlineData("a%0Ab")]
    [InlineData("%C3%A9")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public async Task An_illegal_name_in_the_path_is_refused(string name)
    {
        (await agent.Api.GetAsync($"v1/vms/{name}")).FailedWith(422, HypervisorErrors.NameInvalid);
        (await agent.Api.PostAsync($"v1/vms/{name}/stop", """{"grace":0}""")).FailedWith(422, HypervisorErrors.NameInvalid);
        (await agent.Api.PostAsync($"v1/vms/{name}/restore", """{"file":"/x"}""")).FailedWith(422, HypervisorErrors.NameInvalid);
    }

    [Fact]
    public async Task A_VM_that_is_not_there_is_not_found()
    {
        (await agent.Api.GetAsync("v1/vms/nobody")).FailedWith(404, VmErrors.NoSuchVm);
        (await agent.Api.PostAsync("v1/vms/nobody/stop", """{"grace":0}""")).FailedWith(404, VmErrors.NoSuchVm);
        (await agent.Api.PostAsync("v1/vms/nobody/save", """{"file":"/x"}""")).FailedWith(404, VmErrors.NoSuchVm);
        (await agent.Api.PostAsync("v1/vms/nobody/migrate", """{"to":"127.0.0.1:1"}""")).FailedWith(404, VmErrors.NoSuchVm);
    }

    [Theory]
    [InlineData("GARBAGE\r\n\r\n")]
    [InlineData("GET /v1 HTTP/9.9\r\n\r\n")]
    [InlineData("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")]
    [InlineData("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")]
    public async Task What_is_not_HTTP_ends_its_own_connection_alone(string bytes)
    {
        using RawConnection raw = await RawConnection.OpenAsync(agent.Socket);
        await raw.SendAsync(bytes);
        Assert.DoesNotContain(" 200 ", await raw.ReadToEndAsync(), StringComparison.Ordinal);
        Assert.Equal(200, (await agent.Api.GetAsync("v1")).Status);
    }

    private static string With(string name, string member, string value)
    {
        JsonNode request = JsonNode.Parse(Specs.Request(Specs.Waiting(name, TestKernels.Image("6.1-cloud"))))!;
        request["spec"]![member] = JsonNode.Parse(value);
        return request.ToJsonString();
    }
}
