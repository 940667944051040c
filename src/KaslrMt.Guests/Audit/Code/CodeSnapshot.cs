using System.Globalization;
using System.Text;

namespace KaslrMt.Guests;

/// <summary>The code of a guest that no file tells of: its modules', and its kernel's where the kernel file is not known.</summary>
public sealed class CodeSnapshot
{
    private const ulong LargestText = 64 << 20;
    private const string KernelName = "the kernel";

    private readonly AuditSubject _subject;
    private readonly GuestModules? _modules;
    private readonly ulong _kernelEnd;

    private CodeSnapshot(string label, AuditSubject subject)
    {
        Label = label;
        _subject = subject;
        _kernelEnd = subject.Kernel.Symbol("_end")?.Value ?? subject.Kernel.VirtualBase.Value;
        try
        {
            _modules = GuestModules.Read(subject.Kernel);
        }
        catch (KaslrMtException error) when (error.Category is ErrorCategory.Guest or ErrorCategory.Image)
        {
            // A kernel without modules.
        }
    }

    /// <summary>What a person calls the guest.</summary>
    public string Label { get; }

    /// <summary>Which build runs there: only guests of one are compared.</summary>
    internal string Banner => _subject.Kernel.Banner;

    /// <summary>Its code, by what must be the same to compare it: name, length and, for the kernel's, the address.</summary>
    /// <remarks>
    /// A kernel that was moved elsewhere has addresses cut to 32 bits in its code, which without its relocation table cannot be told from numbers; modules
    /// have none (<c>arch/x86/kernel/module.c</c>).
    /// </remarks>
    internal Dictionary<(string Name, ulong Length, ulong Address), (VirtualAddress Start, NormalizedCode Code)> Texts { get; } = [];

    /// <summary>Reads a guest's code.</summary>
    /// <param name="label">What a person calls it.</param>
    /// <param name="subject">The guest.</param>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public static CodeSnapshot Take(string label, AuditSubject subject)
    {
        ArgumentNullException.ThrowIfNull(subject);
        var snapshot = new CodeSnapshot(label, subject);
        foreach (GuestModule module in snapshot._modules?.InLoadOrder ?? [])
        {
            foreach (ModuleArea text in module.Areas.Where(area => area.Section == ModuleSection.Text))
            {
                snapshot.Add(module.Name, text.Address, text.Size, module);
            }
        }

        if (subject.Image is null && subject.Kernel.Symbol("_etext") is VirtualAddress end)
        {
            snapshot.Add(KernelName, subject.Kernel.VirtualBase, end - subject.Kernel.VirtualBase, null);
        }

        return snapshot;
    }

    /// <summary>Names a place in one of the texts.</summary>
    internal string Describe(VirtualAddress address) => _modules?.Find(address)?.ToString() ?? _subject.Describe(address);

    /// <summary>How much was read: <c>12 modules</c>.</summary>
    public override string ToString()
    {
        int modules = Texts.Keys.Count(text => text.Name != KernelName);
        return string.Create(CultureInfo.InvariantCulture, $"{(modules < Texts.Count ? "the kernel's text and " : "")}{modules} modules");
    }

    private void Add(string name, VirtualAddress start, ulong length, GuestModule? owner)
    {
        if (length == 0 || length > LargestText)
        {
            return;
        }

        var code = new byte[length];
        if (_subject.Kernel.TryRead(start, code))
        {
            Texts.TryAdd((name, length, owner is null ? start.Value : 0), (start, NormalizedCode.Of(code, start.Value, address => Resolve(address, owner))));
        }
    }

    /// <summary>What an address stands for in every guest alike.</summary>
    private ulong? Resolve(ulong address, GuestModule? owner)
    {
        ulong kernel = _subject.Kernel.VirtualBase.Value;
        if (address >= kernel && address < _kernelEnd)
        {
            return address - kernel;
        }

        foreach (ModuleArea area in owner?.Areas ?? [])
        {
            if (area.Contains(new VirtualAddress(address)))
            {
                return (1UL << 40) | ((ulong)area.Section << 36) | (address - area.Address.Value);
            }
        }

        // Another module, whose symbols this one uses: which, and where in it.
        if (_modules?.Find(new VirtualAddress(address)) is { } place)
        {
            ulong name = Encoding.ASCII.GetBytes(place.Module.Name).Aggregate(1UL, (sum, letter) => (sum * 31) + letter);
            return (1UL << 63) | (name << 32) | ((ulong)place.Section << 28) | place.SectionOffset;
        }

        // A program's half: offsets in per-CPU memory and numbers, the same everywhere.
        return address < 1UL << 32 ? address | (1UL << 41) : null;
    }
}
