package operations

// Editing is about the accounts of the config and their passwords.
type Editing interface{}
