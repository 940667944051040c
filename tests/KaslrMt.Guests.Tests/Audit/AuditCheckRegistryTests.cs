namespace KaslrMt.Guests.Tests.Audit;

/// <summary>Checks of another program's own run beside the built-in ones, and one with a fault hides nothing.</summary>
public sealed class AuditCheckRegistryTests
{
    // None of these checks looks at the guest.
    private static readonly AuditSubject NoGuest = new(null!);

    [Fact]
    public void A_check_of_ones_own_comes_after_the_built_in_ones_and_is_found_by_its_name()
    {
        OwnCheck own = new("own-2", outcome => outcome());
        AuditCheckRegistry checks = AuditCheckRegistry.BuiltIn.With(own);
        Assert.Same(own, checks[^1]);
        Assert.Same(own, checks.Find("own-2"));
        Assert.Equal(AuditCheckRegistry.BuiltIn.Count + 1, checks.Count);
        Assert.Null(AuditCheckRegistry.BuiltIn.Find("own-2"));
        Assert.Equal(["wx", "user", "guard", "log", "key", "consensus", "own-2"], checks.Select(check => check.Name));
    }

    [Theory]
    [InlineData("wx")]
    [InlineData("")]
    [InlineData("Own")]
    [InlineData("own check")]
    [InlineData("own\u001b[31m")]
    [InlineData("a-name-of-more-than-32-characters")]
    [InlineData(null)]
    public void A_name_that_is_taken_or_not_legal_is_refused(string? name)
    {
        ArgumentException refused = Assert.Throws<ArgumentException>(() => AuditCheckRegistry.BuiltIn.With(new OwnCheck(name!, outcome => outcome())));
        Assert.DoesNotContain('\u001b', refused.Message);
    }

    [Fact]
    public void Two_new_checks_of_one_name_are_refused() =>
        Assert.Throws<ArgumentException>(() => AuditCheckRegistry.BuiltIn.With(new OwnCheck("own", outcome => outcome()), new OwnCheck("own", outcome => outcome())));

    [Fact]
    public void A_check_that_throws_has_failed_tells_nothing_of_the_guest_and_the_others_go_on()
    {
        AuditCheck[] checks =
        [
            new OwnCheck("throws", _ => throw new InvalidOperationException("secret 0xffffffff81000000")),
            new OwnCheck("returns-null", _ => null!),
            new OwnCheck("hostile", _ => throw new KaslrMtException(GuestErrors.NoKernel, "no kernel")),
            new OwnCheck("finds", outcome => outcome()),
        ];
        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(NoGuest, checks);
        Assert.Equal(["throws", "returns-null", "hostile", "finds"], outcomes.Select(outcome => outcome.Check.Name));
        Assert.All(outcomes.Take(3), outcome => Assert.True(outcome is { Failed: true, IsClean: false }));
        Assert.Equal("the check has a fault (InvalidOperationException)", outcomes[0].NotDone);
        AuditFinding finding = Assert.Single(outcomes[3].Findings);
        Assert.Equal(("finds", AuditSeverity.Weak, "here", "something"), (finding.Check, finding.Severity, finding.Where, finding.What));
    }

    [Fact]
    public void A_guest_that_went_away_ends_the_audit()
    {
        OwnCheck check = new("gone", _ => throw new KaslrMtException(new ErrorCode(5002, ErrorCategory.Host), "the guest went away"));
        Assert.Throws<KaslrMtException>(() => GuestAudit.Run(NoGuest, [check]));
    }

    private sealed class OwnCheck(string name, Func<Func<AuditOutcome>, AuditOutcome> run) : AuditCheck
    {
        public override string Name => name;

        public override string Subject => "something";

        public override AuditOutcome Run(AuditSubject subject) => run(() => Found([Finding(AuditSeverity.Weak, "here", "something")], "a guest that is not there"));
    }
}
