using KaslrMt.Hypervisors.Tests;

// The test runner never calls this; the tests start it as a process of its own that owns a VM.
return args is ["own", .. string[] rest] ? await OwnerProcess.RunAsync(rest) : args is ["claim", string directory, string name] ? OwnerProcess.Claim(directory, name) : 64;
