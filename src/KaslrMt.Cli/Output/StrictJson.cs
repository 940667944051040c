using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace KaslrMt.Cli.Output;

/// <summary>Reads JSON that somebody may have damaged: nothing is missing, null or no number where the type says that something is there.</summary>
internal static class StrictJson
{
    /// <summary>Reads a value.</summary>
    /// <param name="json">The text, UTF-8.</param>
    /// <param name="type">Its type, from a generated context.</param>
    /// <exception cref="JsonException">It is damaged, or something else.</exception>
    public static T Read<T>(byte[] json, JsonTypeInfo<T> type)
        where T : class
    {
        using JsonDocument document = JsonDocument.Parse(json);
        Check(document.RootElement);
        return Read(document.RootElement, type);
    }

    /// <summary>Reads a value that was checked.</summary>
    /// <exception cref="JsonException">It is damaged, or something else.</exception>
    public static T Read<T>(JsonElement json, JsonTypeInfo<T> type)
        where T : class
    {
        var strict = new JsonSerializerOptions(type.Options)
        {
            RespectNullableAnnotations = true,
            TypeInfoResolver = type.OriginatingResolver!.WithAddedModifier(RequireAll),
        };
        return json.Deserialize((JsonTypeInfo<T>)strict.GetTypeInfo(typeof(T))) ?? throw new JsonException("it holds nothing");
    }

    /// <summary>Finds what the serializer lets through or trips over: null in lists, 1e999, which it reads as infinity, and names that are no text.</summary>
    /// <exception cref="JsonException">There is such a thing.</exception>
    public static void Check(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    Check(IsText(property) ? property.Value : throw new JsonException("a name is no text"));
                }

                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in element.EnumerateArray())
                {
                    Check(item.ValueKind == JsonValueKind.Null ? throw new JsonException("a list holds nothing where something must be") : item);
                }

                break;
            case JsonValueKind.Number when !(element.TryGetDouble(out double number) && double.IsFinite(number)):
                throw new JsonException("a number is none");
            default:
                break;
        }
    }

    // Bytes that are no UTF-8, and escapes for half a character.
    private static bool IsText(JsonProperty property)
    {
        try
        {
            return property.Name.Length >= 0;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    // A member that is missing would be null or 0 otherwise.
    private static void RequireAll(JsonTypeInfo type)
    {
        foreach (JsonPropertyInfo property in type.Properties)
        {
            property.IsRequired |= property.AssociatedParameter is { IsNullable: false, HasDefaultValue: false } && Nullable.GetUnderlyingType(property.PropertyType) is null;
        }
    }
}
