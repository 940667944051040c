namespace KaslrMt.Layout;

/// <summary>What kind of window a <see cref="KaslrConfig"/> is.</summary>
[Flags]
public enum KaslrFlags
{
    /// <summary>Virtual bases, drawn from the VM seed.</summary>
    None = 0,

    /// <summary>The base is drawn from the tenant key.</summary>
    PerTenant = 1,

    /// <summary>The bases are guest-physical addresses.</summary>
    Physical = 2,

    /// <summary>There is nothing to draw: the one base is the link layout's (<c>nokaslr</c>).</summary>
    Link = 4,
}
