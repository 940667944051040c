System.Console.WriteLine("kaslrmt");
