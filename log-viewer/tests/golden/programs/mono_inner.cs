// Dies of an error that another one caused.
using System;

class Program
{
    static void Read()
    {
        throw new ArgumentException("bad value");
    }

    static void Main()
    {
        Console.Error.WriteLine("starting");
        try { Read(); }
        catch (ArgumentException error) { throw new InvalidOperationException("could not start", error); }
    }
}
