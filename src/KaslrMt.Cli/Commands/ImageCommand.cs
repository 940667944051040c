using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt image</c>: the bootable ELF.</summary>
internal static class ImageCommand
{
    public static Command Create()
    {
        var options = new LayoutOptions(makesImage: true);
        Option<string> target = new Option<string>("--output", "-o")
        {
            Description = "The ELF to write; mode 0600, it holds the layout",
            HelpName = "FILE",
            Required = true,
        }.NotEmpty();
        Option<bool> noCache = CommonOptions.NoCache();
        var command = new Command("image", "Write the bootable ELF that QEMU's -kernel takes, with the layout built in");
        options.AddTo(command);
        command.Options.Add(target);
        command.Options.Add(noCache);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using LayoutRequest request = options.Read(parsed);
            using PreparedKernels kernels = new(parsed.GetValue(noCache) ? null : CacheLocation.Open());
            return await kernels.UseAsync(
                options.Kernel(parsed),
                user: null,
                used =>
                {
                    using KernelLayout layout = request.Plan(used.Kernel.Facts.Geometry);
                    used.Kernel.WriteBootImage(layout, parsed.GetRequiredValue(target), request.Ram.Overwritten, request.Modules);
                    return ExitCode.Success;
                },
                cancellationToken).ConfigureAwait(false);
        });
        return command.WithExamples(
            "kaslrmt image --kernel vmlinuz --memory 1G --tenant-key-file acme.key --output web1.elf",
            "qemu-system-x86_64 -M q35 -m 1G -nographic -kernel web1.elf");
    }
}
