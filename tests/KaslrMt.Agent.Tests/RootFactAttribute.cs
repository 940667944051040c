namespace KaslrMt.Agent.Tests;

/// <summary>A test that needs root, and says so in its outcome where it has not got it.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = Users.Effective == 0 ? null : "needs root";
}

/// <summary>As <see cref="RootFactAttribute"/>, for a theory.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = Users.Effective == 0 ? null : "needs root";
}
