namespace KaslrMt.Layout;

/// <summary>Who shares a region's base (the paper's section 6).</summary>
public enum Scope
{
    /// <summary>The base is this VM's own and changes at every boot.</summary>
    PerVm = 0,

    /// <summary>The base follows from the tenant key; all VMs of the tenant share it.</summary>
    PerTenant = 1,
}
