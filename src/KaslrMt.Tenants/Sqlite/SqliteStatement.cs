using System.Globalization;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>A statement prepared once for a connection; its parameters are <c>$1</c>, <c>$2</c>, ….</summary>
internal sealed class SqliteStatement : IDisposable
{
    private readonly SqliteCommand _command;
    private readonly SqliteParameter[] _parameters;

    internal SqliteStatement(SqliteConnection connection, string text, int parameters)
    {
        _command = connection.CreateCommand();
        _command.CommandText = text;
        _parameters = new SqliteParameter[parameters];
        for (int i = 0; i < parameters; i++)
        {
            _parameters[i] = _command.CreateParameter();
            _parameters[i].ParameterName = string.Create(CultureInfo.InvariantCulture, $"${i + 1}");
            _command.Parameters.Add(_parameters[i]);
        }
    }

    public void Dispose() => _command.Dispose();

    /// <summary>Runs it and returns the number of rows it changed.</summary>
    internal int Run(params ReadOnlySpan<object?> values)
    {
        Bind(values);
        return _command.ExecuteNonQuery();
    }

    /// <summary>Runs it and reads its rows; the caller disposes of the reader before the next run.</summary>
    internal SqliteDataReader Read(params ReadOnlySpan<object?> values)
    {
        Bind(values);
        return _command.ExecuteReader();
    }

    /// <summary>The first row, or default when there is none.</summary>
    internal T? First<T>(Func<SqliteDataReader, T> map, params ReadOnlySpan<object?> values)
    {
        using SqliteDataReader reader = Read(values);
        return reader.Read() ? map(reader) : default;
    }

    private void Bind(ReadOnlySpan<object?> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            _parameters[i].Value = values[i] ?? DBNull.Value;
        }
    }
}
