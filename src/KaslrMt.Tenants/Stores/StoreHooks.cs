using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>What tests replace in a store: the clock, where keys come from, and a call at every step, to be killed or delayed there.</summary>
internal sealed record StoreHooks
{
    internal static StoreHooks None { get; } = new();

    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    internal Func<TenantKey> NewKey { get; init; } = TenantKey.Generate;

    internal Action<string> Step { get; init; } = _ => { };
}
