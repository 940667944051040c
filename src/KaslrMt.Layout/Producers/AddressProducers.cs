using System.Collections.Immutable;

namespace KaslrMt.Layout;

/// <summary>The address producers by name.</summary>
public static class AddressProducers
{
    /// <summary>HKDF-SHA256, the one to use.</summary>
    public static IAddressProducer Default { get; } = new HkdfAddressProducer();

    /// <summary>The paper's SHA-1 chain, for comparison.</summary>
    public static IAddressProducer Paper { get; } = new PaperAddressProducer();

    /// <summary>Every producer, the default first.</summary>
    public static ImmutableArray<IAddressProducer> All { get; } = [Default, Paper];

    /// <summary>The producer of this name: <c>hkdf</c> or <c>paper</c>.</summary>
    /// <exception cref="KaslrMtException">KMT1002: there is none.</exception>
    public static IAddressProducer Parse(string name) =>
        All.FirstOrDefault(producer => producer.Name == name)
        ?? throw new KaslrMtException(
            LayoutErrors.ProducerUnknown,
            $"there is no address producer of this name, expected one of: {string.Join(", ", All.Select(producer => producer.Name))}");
}
