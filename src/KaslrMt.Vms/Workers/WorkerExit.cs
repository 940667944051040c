namespace KaslrMt.Vms.Workers;

/// <summary>How a worker ended.</summary>
/// <param name="Code">Its exit code; 0 when a signal ended it.</param>
/// <param name="Signal">The signal that ended it; null when it exited.</param>
/// <param name="TimedOut">Whether it was killed because its time was up.</param>
/// <param name="Flooded">Whether it was killed because it wrote too much on its standard error.</param>
/// <param name="Errors">What it wrote there, as far as it was read; not to be believed.</param>
internal sealed record WorkerExit(int Code, int? Signal, bool TimedOut, bool Flooded, string Errors);
