#include <sqlite3.h>

// sqlite3_db_config takes any number of arguments, which Swift can't call. While on, closing the connection leaves the
// write-ahead log as it is, and does not move it into the database.
static inline int scope_keep_wal(sqlite3 *db, int on) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on, (int *)0);
}
