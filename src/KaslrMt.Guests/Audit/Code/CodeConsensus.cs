using System.Globalization;

namespace KaslrMt.Guests;

/// <summary>Compares the code of guests of one tenant with each other: what one of them alone has is a hook or a corruption.</summary>
public static class CodeConsensus
{
    /// <summary>The check that the findings belong to.</summary>
    public const string CheckName = "consensus";

    private const int Near = 16;
    private const int MostPlaces = 20;

    /// <summary>Compares all texts that two or more guests of one build have.</summary>
    /// <param name="guests">What was read of the guests.</param>
    /// <returns>The findings of each guest. Of two that differ, both have one: which is right, only a third can tell.</returns>
    public static IReadOnlyList<IReadOnlyList<AuditFinding>> Compare(IReadOnlyList<CodeSnapshot> guests)
    {
        ArgumentNullException.ThrowIfNull(guests);
        List<AuditFinding>[] findings = [.. guests.Select(_ => new List<AuditFinding>())];
        var texts = Enumerable.Range(0, guests.Count)
            .SelectMany(guest => guests[guest].Texts.Select(text => (Key: (guests[guest].Build, text.Key), guest, text.Value)))
            .GroupBy(text => text.Key);
        foreach (var text in texts)
        {
            var versions = text.GroupBy(owner => owner.Value.Code.Sum).OrderByDescending(version => version.Count()).ToList();
            int most = versions[0].Count();
            bool majority = versions.Count == 1 || most > versions[1].Count();
            foreach (var (version, owner) in versions.SelectMany(version => version.Select(owner => (version, owner))))
            {
                if (versions.Count > 1 && !(majority && version == versions[0]))
                {
                    var model = majority ? versions[0].First() : versions.First(other => other != version).First();
                    string than = majority
                        ? string.Create(CultureInfo.InvariantCulture, $"{most} other guests")
                        : $"{guests[model.guest].Label}; which of them is right, a third guest can tell";
                    findings[owner.guest].AddRange(Places(guests[owner.guest], owner.Value, model.Value.Code, text.Key.Key.Name, than));
                }
            }
        }

        return findings;
    }

    private static IEnumerable<AuditFinding> Places(
        CodeSnapshot guest, (VirtualAddress Start, NormalizedCode Code) text, NormalizedCode model, string name, string than)
    {
        int last = -2 * Near;
        int places = 0;
        foreach (int offset in model.DifferencesIn(text.Code))
        {
            if (offset - last > Near && places++ < MostPlaces)
            {
                VirtualAddress address = text.Start + (ulong)offset;
                yield return new AuditFinding(CheckName, AuditSeverity.Compromised, guest.Describe(address), $"the code of {name} is other here than in {than}", address);
            }

            last = offset;
        }
    }
}
