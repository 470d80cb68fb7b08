import GRDB

/// The tables, and how a file of an earlier version becomes today's.
///
/// A migration that was released is never changed; a new one follows it.
enum Schema {
  /// In the header of every file of ours: "SCPD".
  static let applicationID: Int32 = 0x5343_5044

  static let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("v1", foreignKeyChecks: .immediate) { try $0.execute(sql: version1) }
    migrator.registerMigration("v2") { try $0.execute(sql: version2) }
    migrator.registerMigration("v3", foreignKeyChecks: .immediate) { try $0.execute(sql: version3) }
    migrator.registerMigration("v4", foreignKeyChecks: .immediate) { db in
      try db.execute(sql: version4)
      try db.sumUpLog()
    }
    return migrator
  }()

  /// What each change has left of its company, by which damage shows when the company is loaded; and whose log it is.
  private static let version4 = """
    ALTER TABLE change_log ADD COLUMN company_digest BLOB;

    -- Of companies that were not changed since digests are kept.
    CREATE TABLE earlier_digests (
      company TEXT NOT NULL PRIMARY KEY,
      revision INTEGER NOT NULL, -- the last that changed it
      digest BLOB NOT NULL CHECK (length(digest) = 32)
    ) STRICT, WITHOUT ROWID;

    -- One row.
    CREATE TABLE store (
      identity BLOB NOT NULL CHECK (length(identity) = 16), -- random, the same in the head file
      has_head_file INTEGER NOT NULL DEFAULT 0 CHECK (has_head_file IN (0, 1)) -- once there was one, it must be there
    ) STRICT;
    INSERT INTO store (identity) VALUES (randomblob(16));

    -- What the operator has gone on without.
    CREATE TABLE accepted_losses (
      time INTEGER NOT NULL, -- microseconds since 1970
      revision INTEGER NOT NULL, -- the last that was left
      loss TEXT NOT NULL -- what was missing, in words
    ) STRICT;
    """

  /// Whether the file is of version 4 or later.
  static func hasIdentity(_ db: Database) throws -> Bool { try db.tableExists("store") }

  /// Number lists. A set of blocks belongs to the list that names it; one that no list names is an import under way,
  /// or waits to be swept.
  private static let version3 = """
    CREATE TABLE lists (
      company TEXT NOT NULL,
      list_id TEXT NOT NULL,
      purpose TEXT NOT NULL CHECK (purpose IN ('none', 'calling', 'unwanted', 'vip', 'script')),
      numbers TEXT NOT NULL, -- how many
      block_set TEXT NOT NULL, -- number of the set of blocks; 0: none
      digest TEXT NOT NULL, -- SHA-256 over the blocks' hashes in order, in hexadecimal digits; -: none
      type TEXT NOT NULL DEFAULT 'list' CHECK (type = 'list'),
      PRIMARY KEY (company, list_id),
      FOREIGN KEY (company, type, list_id) REFERENCES objects
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE number_sets (
      id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
      company TEXT NOT NULL,
      list_id TEXT NOT NULL,
      import_key TEXT, -- NULL: no import under way
      finished_key TEXT, -- of the import it came from; NULL: none
      parts INTEGER NOT NULL DEFAULT 0, -- of the import: held so far
      numbers INTEGER NOT NULL DEFAULT 0, -- in them
      last INTEGER NOT NULL DEFAULT 0 -- the highest of them
    ) STRICT;
    CREATE UNIQUE INDEX number_sets_by_import ON number_sets (company, list_id) WHERE import_key IS NOT NULL;

    CREATE TABLE number_blocks (
      set_id INTEGER NOT NULL REFERENCES number_sets,
      first INTEGER NOT NULL, -- the lowest number
      numbers BLOB NOT NULL, -- ascending, eight bytes each, little-endian
      details BLOB NOT NULL, -- empty, or the length of each in two bytes, little-endian, and then all of them
      hash BLOB NOT NULL CHECK (length(hash) = 32) -- SHA-256: bytes of numbers in eight bytes, numbers, details
    ) STRICT;
    CREATE UNIQUE INDEX number_blocks_by_first ON number_blocks (set_id, first);
    """

  /// Who gained and lost what, as JSON. Rows of before have none. Without a comment in it: SQLite puts the text into
  /// the table's own, where the comment would swallow what follows.
  private static let version2 = "ALTER TABLE change_log ADD COLUMN access TEXT"

  /// Names are compared as bytes: BINARY is SQLite's default. Each link between two things has its key and one
  /// index the other way, so that removing either end need not look through the company.
  private static let version1 = """
    CREATE TABLE companies (
      company TEXT NOT NULL PRIMARY KEY,
      mode TEXT NOT NULL CHECK (mode IN ('simple', 'enhanced'))
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE roles (
      company TEXT NOT NULL REFERENCES companies,
      role TEXT NOT NULL,
      PRIMARY KEY (company, role)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE role_rights (
      company TEXT NOT NULL,
      role TEXT NOT NULL,
      right_name TEXT NOT NULL,
      PRIMARY KEY (company, role, right_name),
      FOREIGN KEY (company, role) REFERENCES roles
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE users (
      company TEXT NOT NULL REFERENCES companies,
      id TEXT NOT NULL,
      name TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('active', 'blocked')),
      PRIMARY KEY (company, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE user_roles (
      company TEXT NOT NULL,
      user_id TEXT NOT NULL,
      role TEXT NOT NULL,
      PRIMARY KEY (company, user_id, role),
      FOREIGN KEY (company, user_id) REFERENCES users,
      FOREIGN KEY (company, role) REFERENCES roles
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX user_roles_by_role ON user_roles (company, role);

    CREATE TABLE groups (
      company TEXT NOT NULL REFERENCES companies,
      id TEXT NOT NULL,
      name TEXT NOT NULL,
      PRIMARY KEY (company, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE group_members (
      company TEXT NOT NULL,
      group_id TEXT NOT NULL,
      user_id TEXT NOT NULL,
      PRIMARY KEY (company, group_id, user_id),
      FOREIGN KEY (company, group_id) REFERENCES groups,
      FOREIGN KEY (company, user_id) REFERENCES users
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX group_members_by_user ON group_members (company, user_id);

    CREATE TABLE projects (
      company TEXT NOT NULL REFERENCES companies,
      id TEXT NOT NULL,
      name TEXT NOT NULL,
      description TEXT NOT NULL,
      PRIMARY KEY (company, id),
      UNIQUE (company, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE project_users (
      company TEXT NOT NULL,
      project_id TEXT NOT NULL,
      user_id TEXT NOT NULL,
      PRIMARY KEY (company, project_id, user_id),
      FOREIGN KEY (company, project_id) REFERENCES projects,
      FOREIGN KEY (company, user_id) REFERENCES users
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX project_users_by_user ON project_users (company, user_id);

    CREATE TABLE project_groups (
      company TEXT NOT NULL,
      project_id TEXT NOT NULL,
      group_id TEXT NOT NULL,
      PRIMARY KEY (company, project_id, group_id),
      FOREIGN KEY (company, project_id) REFERENCES projects,
      FOREIGN KEY (company, group_id) REFERENCES groups
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX project_groups_by_group ON project_groups (company, group_id);

    CREATE TABLE objects (
      company TEXT NOT NULL REFERENCES companies,
      type TEXT NOT NULL,
      id TEXT NOT NULL,
      name TEXT NOT NULL,
      origin TEXT NOT NULL CHECK (origin IN ('custom', 'system')),
      PRIMARY KEY (company, type, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE placements (
      company TEXT NOT NULL,
      type TEXT NOT NULL,
      object_id TEXT NOT NULL,
      project_id TEXT NOT NULL,
      PRIMARY KEY (company, type, object_id, project_id),
      FOREIGN KEY (company, type, object_id) REFERENCES objects,
      FOREIGN KEY (company, project_id) REFERENCES projects
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX placements_by_project ON placements (company, project_id);

    -- The truth: every change, in order, each sealed over the one before.
    CREATE TABLE change_log (
      revision INTEGER PRIMARY KEY CHECK (revision > 0),
      company TEXT NOT NULL,
      time INTEGER NOT NULL, -- microseconds since 1970
      actor TEXT, -- NULL: the platform itself
      caller TEXT NOT NULL,
      edits TEXT NOT NULL, -- JSON: [[before, after], …]
      idempotency_key TEXT,
      request_digest BLOB,
      hash BLOB NOT NULL CHECK (length(hash) = 32),
      CHECK ((idempotency_key IS NULL) = (request_digest IS NULL))
    ) STRICT;
    CREATE INDEX change_log_by_company ON change_log (company, revision);
    CREATE UNIQUE INDEX change_log_by_key ON change_log (company, idempotency_key)
      WHERE idempotency_key IS NOT NULL;

    -- Also keeps REPLACE out, which would delete without a word.
    CREATE TRIGGER change_log_has_no_gaps BEFORE INSERT ON change_log
      WHEN NEW.revision IS NOT (SELECT coalesce(max(revision), 0) + 1 FROM change_log)
    BEGIN SELECT raise(ABORT, 'revisions of the change log follow each other'); END;
    CREATE TRIGGER change_log_is_not_updated BEFORE UPDATE ON change_log
    BEGIN SELECT raise(ABORT, 'the change log is never altered'); END;
    CREATE TRIGGER change_log_is_not_deleted BEFORE DELETE ON change_log
    BEGIN SELECT raise(ABORT, 'the change log is never altered'); END;
    """
}
