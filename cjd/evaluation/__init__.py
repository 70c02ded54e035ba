"""Does the picture show what the prompt asked, and how far is the student from its teacher?"""
