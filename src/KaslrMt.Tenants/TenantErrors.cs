namespace KaslrMt.Tenants;

/// <summary>The numbered errors of the tenant table: 400x names and states, 401x hosts, 402x SQLite, 403x sealing, 404x etcd.</summary>
public static class TenantErrors
{
    /// <summary>A store's location is neither <c>sqlite:PATH</c> nor <c>etcd://HOST:PORT/PREFIX</c>.</summary>
    public static readonly ErrorCode LocationInvalid = new(4001, ErrorCategory.Usage);

    /// <summary>A tenant's or VM's name is not legal.</summary>
    public static readonly ErrorCode NameInvalid = new(4002, ErrorCategory.Usage);

    /// <summary>No tenant has this name.</summary>
    public static readonly ErrorCode TenantUnknown = new(4003, ErrorCategory.Usage);

    /// <summary>No VM has this name.</summary>
    public static readonly ErrorCode VmUnknown = new(4004, ErrorCategory.Usage);

    /// <summary>Another VM has this name.</summary>
    public static readonly ErrorCode VmNameInUse = new(4005, ErrorCategory.Store);

    /// <summary>The VM is in a state that does not allow this.</summary>
    public static readonly ErrorCode VmStatusConflict = new(4006, ErrorCategory.Store);

    /// <summary>The VM was stopped, and its name belongs to another start by now.</summary>
    public static readonly ErrorCode VmReplaced = new(4007, ErrorCategory.Store);

    /// <summary>The tenant still has VMs.</summary>
    public static readonly ErrorCode TenantInUse = new(4008, ErrorCategory.Store);

    /// <summary>No host has this identity.</summary>
    public static readonly ErrorCode HostUnknown = new(4010, ErrorCategory.Usage);

    /// <summary>The host's lease has ended, so that it may not start or take over a VM.</summary>
    public static readonly ErrorCode HostLeaseLost = new(4011, ErrorCategory.Store);

    /// <summary>The host is alive and cannot be evicted.</summary>
    public static readonly ErrorCode HostAlive = new(4012, ErrorCategory.Store);

    /// <summary>This host's identity cannot be read or made.</summary>
    public static readonly ErrorCode HostIdentity = new(4013, ErrorCategory.Host);

    /// <summary>The database cannot be opened, read or written.</summary>
    public static readonly ErrorCode StoreFailed = new(4020, ErrorCategory.Store);

    /// <summary>The database or its directory is open to other users.</summary>
    public static readonly ErrorCode StoreExposed = new(4021, ErrorCategory.Permission);

    /// <summary>The store was written by a newer version of this program.</summary>
    public static readonly ErrorCode StoreNewer = new(4022, ErrorCategory.Store);

    /// <summary>The store is damaged, or no tenant table at all.</summary>
    public static readonly ErrorCode StoreCorrupt = new(4023, ErrorCategory.Store);

    /// <summary>The disk is full.</summary>
    public static readonly ErrorCode StoreFull = new(4024, ErrorCategory.Store);

    /// <summary>Another process held the database for too long.</summary>
    public static readonly ErrorCode StoreBusy = new(4025, ErrorCategory.Store);

    /// <summary>What was asked for exists for the other kind of store only.</summary>
    public static readonly ErrorCode StoreUnable = new(4026, ErrorCategory.Usage);

    /// <summary>The file of key-encryption keys can be read by others.</summary>
    public static readonly ErrorCode KeyFileExposed = new(4030, ErrorCategory.Permission);

    /// <summary>The file of key-encryption keys is malformed.</summary>
    public static readonly ErrorCode KeyFileMalformed = new(4031, ErrorCategory.Initialization);

    /// <summary>The file of key-encryption keys is missing or cannot be read or written.</summary>
    public static readonly ErrorCode KeyFileUnreadable = new(4032, ErrorCategory.Permission);

    /// <summary>The key-encryption key is not the one the store was sealed with.</summary>
    public static readonly ErrorCode KeyWrong = new(4033, ErrorCategory.Store);

    /// <summary>The store is sealed with a version of the key-encryption key that this host does not have.</summary>
    public static readonly ErrorCode KeyVersionMissing = new(4034, ErrorCategory.Store);

    /// <summary>A sealed tenant key was altered, or moved from another row.</summary>
    public static readonly ErrorCode SealBroken = new(4035, ErrorCategory.Store);

    /// <summary>No etcd endpoint can be reached.</summary>
    public static readonly ErrorCode EtcdUnreachable = new(4040, ErrorCategory.Store);

    /// <summary>etcd refused the user, password or role.</summary>
    public static readonly ErrorCode EtcdDenied = new(4041, ErrorCategory.Store);

    /// <summary>TLS to etcd failed: certificate, authority or name.</summary>
    public static readonly ErrorCode EtcdTls = new(4042, ErrorCategory.Store);

    /// <summary>etcd's database is at its quota and takes no writes.</summary>
    public static readonly ErrorCode EtcdFull = new(4043, ErrorCategory.Store);

    /// <summary>Others changed the same tenant again and again while this change was tried.</summary>
    public static readonly ErrorCode EtcdContended = new(4044, ErrorCategory.Store);

    /// <summary>etcd answered something that is not its v3 API.</summary>
    public static readonly ErrorCode EtcdAnswer = new(4045, ErrorCategory.Store);
}
