using KaslrMt.Tenants.Tests.Faults;

// The test runner never calls this; the tests start it as a process of its own, to be killed or to compete.
return await Worker.RunAsync(args);
