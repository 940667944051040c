using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Kernels;
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
        command.SetAction(parsed =>
        {
            using LayoutRequest request = options.Read(parsed);
            ImageCache? cache = parsed.GetValue(noCache) ? null : CacheLocation.Open();
            BootImage written = BootImages.Write(
                options.Kernel(parsed), cache, kernel => request.Plan(kernel.Geometry), parsed.GetRequiredValue(target), request.Ram.Overwritten, request.Modules);
            written.Layout.Dispose();
            return ExitCode.Success;
        });
        return command.WithExamples(
            "kaslrmt image --kernel vmlinuz --memory 1G --tenant-key-file acme.key --output web1.elf",
            "qemu-system-x86_64 -M q35 -m 1G -nographic -kernel web1.elf");
    }
}
