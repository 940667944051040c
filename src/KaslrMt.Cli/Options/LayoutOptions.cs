using System.CommandLine;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Options;

/// <summary>The options by which a layout is chosen, shared by <c>layout</c>, <c>image</c> and <c>run</c>.</summary>
internal sealed class LayoutOptions
{
    private readonly Option<string> _kernel = new("--kernel", "-k")
    {
        Description = "The tenant's own kernel: a bzImage (vmlinuz) or an ELF vmlinux",
        HelpName = "FILE",
        Required = true,
    };

    private readonly Option<string> _memory = new("--memory", "-m")
    {
        Description = "The VM's memory, 128M to 16G and beyond",
        HelpName = "SIZE",
        DefaultValueFactory = _ => "512M",
    };

    private readonly Option<string> _machine = new("--machine", "-M")
    {
        Description = "QEMU's machine type: pc, q35 or microvm",
        HelpName = "TYPE",
        DefaultValueFactory = _ => "q35",
    };

    private readonly Option<string?> _initrd = new("--initrd") { Description = "The VM's initrd; the kernel is placed clear of it", HelpName = "FILE" };

    private readonly Option<string?> _append = new("--append")
    {
        Description = "The guest's command line. kaslr_mt=KEY-BITMAP in it is obeyed and removed; nokaslr gives the link layout",
        HelpName = "LINE",
    };

    private readonly Option<string?> _keyFile = new("--tenant-key-file")
    {
        Description = "The tenant key's file (mode 0600), or - for standard input",
        HelpName = "FILE",
    };

    private readonly Option<string> _policy = new("--policy")
    {
        Description = "Which regions are per tenant, six bits: modules, vmemmap, vmalloc, physmap, kernel virtual, kernel physical",
        HelpName = "BITMAP",
        DefaultValueFactory = _ => "110010",
    };

    private readonly Option<string> _producer = new("--producer")
    {
        Description = "What makes addresses of the key: hkdf, or paper (the paper's SHA-1 chain, for comparison)",
        HelpName = "NAME",
        DefaultValueFactory = _ => "hkdf",
    };

    private readonly Option<string?> _seed = new("--vm-seed")
    {
        Description = "64 hex digits that make the per-VM bases repeatable, for tests; default: new random ones",
        HelpName = "HEX",
    };

    private readonly Option<string>? _modules;

    /// <summary>The options.</summary>
    /// <param name="makesImage">Whether an image is made: what does not change the layout is offered too.</param>
    public LayoutOptions(bool makesImage) => _modules = makesImage ? ModuleAddressesOption.Create() : null;

    /// <summary>The kernel file given.</summary>
    public string Kernel(ParseResult parsed) => parsed.GetRequiredValue(_kernel);

    /// <summary>The initrd given, or null.</summary>
    public string? Initrd(ParseResult parsed) => parsed.GetValue(_initrd);

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_kernel, _memory, _machine, _initrd, _append, _keyFile, _policy, _producer, _seed])
        {
            command.Options.Add(option);
        }

        if (_modules is not null)
        {
            command.Options.Add(_modules);
        }

        _kernel.NotEmpty();
        _initrd.NotEmpty();
        _keyFile.NotEmpty();
    }

    /// <summary>Checks what was given and reads key and initrd size.</summary>
    /// <exception cref="KaslrMtException">Which option is wrong, and how it should be.</exception>
    public LayoutRequest Read(ParseResult parsed)
    {
        string memoryText = parsed.GetRequiredValue(_memory);
        if (!ByteSize.TryParse(memoryText, out ByteSize memory))
        {
            throw new KaslrMtException(CoreErrors.Usage, $"--memory '{memoryText}' is no size", "write it as 512M or 2G");
        }

        IMachineModel machine = Hypervisor.Default.Machine(parsed.GetRequiredValue(_machine));
        Policy policy = Policy.Parse(parsed.GetRequiredValue(_policy));
        IAddressProducer producer = AddressProducers.Parse(parsed.GetRequiredValue(_producer));
        ModuleAddresses modules = _modules is null ? ModuleAddresses.ByOrder : ModuleAddressesSetting.Parse(parsed.GetRequiredValue(_modules));
        string? initrd = Initrd(parsed);
        GuestCommandLine line = GuestCommandLine.Parse(parsed.GetValue(_append) ?? "");
        try
        {
            var request = new LayoutRequest
            {
                Memory = memory,
                Machine = machine,
                Initrd = initrd,
                Line = line,
                Policy = line.Policy ?? policy,
                Producer = producer,
                KeyFile = line.Key is null && parsed.GetValue(_keyFile) is string path && path != "-" ? Path.GetFullPath(path) : null,
                Key = line.Key ?? (parsed.GetValue(_keyFile) is string file ? KeySource.Read(file) : null),
                Modules = modules,
                Seed = parsed.GetValue(_seed) is string hex ? VmSeed.FromHex(hex) : null,
            };
            try
            {
                // What does not fit is said before anything is done.
                _ = request.Ram;
                return request;
            }
            catch
            {
                request.Dispose();
                throw;
            }
        }
        catch
        {
            line.Dispose();
            throw;
        }
    }
}
