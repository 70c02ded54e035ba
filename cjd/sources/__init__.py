"""Where pictures come from before there is a teacher."""
