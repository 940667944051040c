using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests.Deputy;

/// <summary>A caller of another user: curl, under <c>setpriv</c>.</summary>
/// <param name="User">Its user.</param>
/// <param name="Group">Its group.</param>
/// <param name="Further">Its supplementary groups.</param>
internal sealed record AsUser(uint User, uint Group, params uint[] Further)
{
    public Task<ApiAnswer> GetAsync(string socket, string path) => CallAsync(socket, "GET", path, null);

    public Task<ApiAnswer> PostAsync(string socket, string path, string body) => CallAsync(socket, "POST", path, body);

    public Task<ApiAnswer> StartAsync(string socket, VmSpec spec) => PostAsync(socket, "v1/vms", Specs.Request(spec));

    public async Task<string[]> NamesAsync(string socket) =>
        [.. JsonSerializer.Deserialize((await GetAsync(socket, "v1/vms")).Body, ApiJson.Default.VmList)!.Vms.Select(vm => vm.Name)];

    /// <summary>Begins a call whose answer goes on.</summary>
    public Process Follow(string socket, string path) => Begin(["--no-buffer", "--unix-socket", socket, $"http://agent/{path}"]);

    private async Task<ApiAnswer> CallAsync(string socket, string method, string path, string? body)
    {
        List<string> arguments = ["--unix-socket", socket, "--request", method, "--path-as-is", "--write-out", "\n%{http_code}", $"http://agent/{path}"];
        arguments.AddRange(body is null ? [] : ["--header", "Content-Type: application/json", "--data-binary", "@-"]);
        using Process process = Begin(arguments);
        await process.StandardInput.BaseStream.WriteAsync(Encoding.UTF8.GetBytes(body ?? ""));
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"curl ended with {process.ExitCode}: {await error}");
        int last = output.LastIndexOf('\n');
        return new(int.Parse(output[(last + 1)..], CultureInfo.InvariantCulture), output[..last]);
    }

    private Process Begin(List<string> arguments)
    {
        string groups = Further.Length == 0 ? "--clear-groups" : $"--groups={string.Join(',', Further)}";
        return Process.Start(new ProcessStartInfo(
            "setpriv", [$"--reuid={User}", $"--regid={Group}", groups, "curl", "--silent", "--show-error", "--max-time", "120", .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        })!;
    }
}
